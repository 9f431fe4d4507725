"""What the counters say after a batch."""

from prometheus_client import CollectorRegistry

from producers.codec import encode
from stream_app.engine.replay import steps
from stream_app.engine.thresholds import ThresholdPolicy
from stream_app.judging import judge
from stream_app.latest import REPLAY_SECONDS
from stream_app.metrics import StreamMetrics
from stream_app.raw_records import RawRecord

NOW = 10.0


def test_a_batch_is_counted() -> None:
    nan = encode(steps(loss=[float("nan")])[0])
    records = [RawRecord(0, i, b"run", value, NOW) for i, value in enumerate([nan, nan, b"rubbish"])]
    registry = CollectorRegistry()
    StreamMetrics("steps", "diffs", registry).count(
        len(records), judge(records, lambda _: None, ThresholdPolicy(), NOW), NOW
    )
    value = registry.get_sample_value
    assert value("streakline_events_total", {"topic": "steps"}) == 3
    assert value("streakline_ignored_events_total") == 1
    assert value("streakline_invalid_records_total", {"topic": "steps", "reason": "not_json"}) == 1
    last = "streakline_invalid_record_last_timestamp_seconds"
    assert value(last, {"topic": "steps", "reason": "not_json"}) == NOW
    assert value(last, {"topic": "steps", "reason": "invalid"}) is None
    assert value("streakline_signals_total", {"type": "non_finite", "severity": "critical"}) == 1
    assert value("streakline_last_batch_timestamp_seconds") == NOW
    assert value("streakline_event_delay_seconds_count") == 1
    assert value("streakline_event_delay_seconds_sum") == NOW


def test_a_replay_is_no_delay_and_a_clock_that_is_ahead_no_negative_one() -> None:
    records = [RawRecord(0, i, b"run", encode(step), NOW) for i, step in enumerate(steps(loss=[1.0, 2.0]))]
    registry = CollectorRegistry()
    metrics = StreamMetrics("steps", "diffs", registry)
    judgement = judge(records, lambda _: None, ThresholdPolicy(), NOW)
    metrics.count(2, judgement, REPLAY_SECONDS + 0.5)
    assert registry.get_sample_value("streakline_event_delay_seconds_count") == 1
    metrics.count(2, judgement, -5.0)
    assert registry.get_sample_value("streakline_event_delay_seconds_sum") == REPLAY_SECONDS - 0.5


def test_every_counter_is_there_from_the_start() -> None:
    registry = CollectorRegistry()
    StreamMetrics("steps", "diffs", registry)
    value = registry.get_sample_value
    assert value("streakline_signals_total", {"type": "loss_plateau", "severity": "info"}) == 0
    assert value("streakline_signals_total", {"type": "category_regressed", "severity": "warning"}) == 0
    for topic in ("steps", "diffs"):
        assert value("streakline_events_total", {"topic": topic}) == 0
        for reason in "too_large not_json invalid wrong_key failed batch_too_large batch_damaged".split():
            assert value("streakline_invalid_records_total", {"topic": topic, "reason": reason}) == 0


def test_what_is_shown_of_live_runs_is_counted() -> None:
    registry = CollectorRegistry()
    metrics = StreamMetrics("steps", "diffs", registry)
    metrics.count_shown(3)
    metrics.count_not_shown()
    metrics.redis_is_away(True)
    names = ("batches_total", "failures_total", "redis_away")
    assert [registry.get_sample_value(f"streakline_live_{name}") for name in names] == [3, 1, 1]
    metrics.redis_is_away(False)
    assert registry.get_sample_value("streakline_live_redis_away") == 0
