"""What the counters say after a batch."""

from producers.codec import encode
from stream_app.engine.replay import steps
from stream_app.engine.state import RunState
from stream_app.engine.thresholds import ThresholdPolicy
from stream_app.judging import RawRecord, judge
from stream_app.metrics import StreamMetrics


def test_a_batch_is_counted() -> None:
    nan = encode(steps(loss=[float("nan")])[0])
    records = [RawRecord(0, i, b"run", value) for i, value in enumerate([nan, nan, b"rubbish"])]
    metrics = StreamMetrics("steps")
    metrics.count(len(records), judge(records, lambda _: RunState(), ThresholdPolicy()))
    value = metrics.registry.get_sample_value
    assert value("streakline_events_total", {"topic": "steps"}) == 3
    assert value("streakline_ignored_events_total") == 1
    assert value("streakline_invalid_records_total", {"topic": "steps", "reason": "not_json"}) == 1
    assert value("streakline_signals_total", {"type": "non_finite", "severity": "critical"}) == 1


def test_every_signal_counter_is_there_from_the_start() -> None:
    value = StreamMetrics("steps").registry.get_sample_value
    assert value("streakline_signals_total", {"type": "loss_plateau", "severity": "info"}) == 0
