"""What is shown of a run after batches of events, through `judge`."""

import math
from collections.abc import Sequence

from producers.codec import encode
from producers.events import RunCompleted, RunStarted, StepEvent, TrainerEvent
from stream_app.engine.thresholds import ThresholdPolicy
from stream_app.judging import judge
from stream_app.latest import REPLAY_SECONDS
from stream_app.raw_records import RawRecord, RowKey
from stream_app.records import Latest, Mark, RunRecord

NOW = 1e9
KEY = RowKey(0, b"run")
NAN = float("nan")


def step(
    number: int, *, ts: float = NOW, loss: float = 1.0, max_grad: float | None = None, attempt: int = 0
) -> StepEvent:
    return StepEvent(run_id="run", step=number, ts=ts, loss=loss, max_grad=max_grad, attempt=attempt)


def after(*batches: Sequence[TrainerEvent], now: float = NOW, published_at: float | None = None) -> Latest:
    """Batches a second apart, the last one at `now`."""
    runs: dict[RowKey, RunRecord] = {}
    for index, batch in enumerate(batches):
        moment = now - (len(batches) - 1 - index)
        published = moment if published_at is None else published_at
        records = [RawRecord(0, i, b"run", encode(event), published) for i, event in enumerate(batch)]
        runs.update(judge(records, runs.get, ThresholdPolicy(), moment).runs)
    return runs[KEY].latest


def test_the_latest_step_is_shown_also_where_it_is_not_finite() -> None:
    latest = after([step(1, ts=NOW - 9, max_grad=0.5), step(2, ts=NOW - 8, loss=NAN, max_grad=math.inf)])
    assert latest.event_at == NOW - 8
    assert math.isnan(latest.loss or 0.0)
    assert latest.grad_norm == math.inf


def test_a_step_without_a_gradient_norm_leaves_the_last_one() -> None:
    assert after([step(1, max_grad=0.5), step(2)]).grad_norm == 0.5
    assert after([step(1, max_grad=0.5)], [step(2)]).grad_norm == 0.5
    assert after([step(1)]).grad_norm is None


def test_the_ends_of_a_run_count_as_heard_and_leave_what_was_measured() -> None:
    latest = after([step(1, ts=NOW - 9, loss=3.0)], [RunCompleted(run_id="run", ts=NOW - 2, steps=2)])
    assert (latest.event_at, latest.loss) == (NOW - 2, 3.0)


def test_an_announcement_that_comes_again_makes_nothing_older() -> None:
    started = RunStarted(run_id="run", ts=NOW - 100)
    assert after([started, step(1, ts=NOW - 9)], [started]).event_at == NOW - 9


def test_ignored_events_change_nothing() -> None:
    first = after([step(5, ts=NOW - 9, loss=3.0)])
    assert after([step(5, ts=NOW - 9, loss=3.0), step(4, ts=NOW - 1, loss=7.0)]) == first


def test_a_clock_that_is_ahead_is_not_believed() -> None:
    latest = after([step(1, ts=NOW + 5_000, loss=NAN)])
    assert latest.event_at == NOW
    assert latest.marks == {"non_finite": {"critical": Mark(NOW, 1)}}


def test_a_signal_is_marked_when_it_is_detected_and_each_severity_by_itself() -> None:
    norms = [step(i, max_grad=1.0, loss=1.0 + i % 2) for i in range(6)]
    spike, worse = step(6, max_grad=6.0), step(7, max_grad=90.0)
    latest = after(norms, [spike], [worse])
    assert latest.marks == {"gradient_spike": {"warning": Mark(NOW - 1, 6), "critical": Mark(NOW, 7)}}


def test_a_redelivered_event_moves_no_mark() -> None:
    bad = step(1, ts=NOW - 9, loss=NAN)
    assert after([bad], [bad], [bad]).marks == {"non_finite": {"critical": Mark(NOW - 2, 1)}}


def test_a_signal_of_long_ago_is_marked_when_it_was_measured() -> None:
    old = NOW - REPLAY_SECONDS - 1
    assert after([step(1, ts=old, loss=NAN)]).marks == {"non_finite": {"critical": Mark(old, 1)}}
    late = NOW - REPLAY_SECONDS + 1
    assert after([step(1, ts=late, loss=NAN)]).marks == {"non_finite": {"critical": Mark(NOW, 1)}}


def test_a_replay_is_what_was_published_long_after_it_was_measured() -> None:
    """A worker that was away for hours finds old events, which were published in time: that run is no replay."""
    old = NOW - REPLAY_SECONDS - 1
    assert after([step(1, ts=old)]).is_replay
    assert not after([step(1, ts=old)], published_at=old).is_replay
    assert not after([step(1, ts=old)], [step(2)]).is_replay


def test_another_attempt_keeps_the_marks_and_nothing_else() -> None:
    latest = after([step(9, loss=NAN, max_grad=2.0)], [RunStarted(run_id="run", ts=NOW - 50, attempt=1)])
    assert latest == Latest(event_at=NOW - 50, marks={"non_finite": {"critical": Mark(NOW - 1, 9)}})
    assert after([step(9), RunStarted(run_id="run", ts=NOW, attempt=1)]).loss is None
