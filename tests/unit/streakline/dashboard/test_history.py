"""What the archive has of a run and what Redis still holds, put together."""

import math

from msgspec.structs import replace

from streakline.dashboard.history import all_signals, joined
from streakline.report.content import Timeline
from streakline.report.markers import marker_of
from stream_app.live import LiveBatch, LivePoint
from tests.live_writing import points, signal

ARCHIVED = Timeline(
    attempt=1, steps=(0, 2, 4), loss=(3.0, 2.0, None), max_grad=(1.0, None, 1.0), total_steps=5, non_finite=1
)


def test_each_step_is_there_once_and_of_both_what_redis_says() -> None:
    batches = [
        LiveBatch(attempt=1, points=(LivePoint(3, 1.5, 0.5), LivePoint(4, 1.0, 0.5))),
        # A worker that died wrote it again.
        LiveBatch(attempt=1, points=(LivePoint(4, 1.0, 0.5), LivePoint(5, 0.5, 0.5))),
    ]
    (timeline,) = joined([ARCHIVED], batches)
    assert timeline.steps == (0, 2, 3, 4, 5)
    assert timeline.loss == (3.0, 2.0, 1.5, 1.0, 0.5)
    assert timeline.max_grad == (1.0, None, 0.5, 0.5, 0.5)
    assert (timeline.total_steps, timeline.non_finite) == (6, 1)


def test_attempts_are_apart_and_in_order() -> None:
    timelines = joined(
        [ARCHIVED], [LiveBatch(attempt=2, points=points(0, 1)), LiveBatch(attempt=0, points=points(7, 7))]
    )
    assert [(each.attempt, each.steps) for each in timelines] == [(0, (7,)), (1, (0, 2, 4)), (2, (0, 1))]
    assert joined([], []) == ()


def test_each_signal_is_there_once() -> None:
    twice, other = signal("a", 7), signal("a", 3)
    batches = [LiveBatch(attempt=0, signals=(twice, other)), LiveBatch(attempt=0, signals=(twice,))]
    assert [each.step for each in all_signals([marker_of(twice)], batches)] == [3, 7]


def test_categories_that_regressed_at_one_step_are_several_signals() -> None:
    both = tuple(signal("a", 9, kind="category_regressed", message=category) for category in ("code", "law"))
    assert len(all_signals([], [LiveBatch(attempt=0, signals=both)])) == 2


def test_what_is_no_number_is_none() -> None:
    marker = marker_of(replace(signal("a", 1), value=math.nan, threshold=None))
    assert (marker.value, marker.threshold) == (None, None)
