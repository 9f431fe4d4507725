"""What is new of a run since it was last shown, and what is shown of it: pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from producers.events import Severity, Signal
from stream_app.judging import Judgement
from stream_app.live import (
    KEPT_POINTS,
    MAX_BATCHES,
    MAX_LAYERS,
    MAX_POINTS,
    MAX_SIGNALS,
    SPARKLINE_POINTS,
    LiveBatch,
    LivePoint,
    LiveRun,
    LiveSignal,
    State,
    finite,
)
from stream_app.raw_records import RowKey
from stream_app.records import Latest, RunRecord

# Points are thinned when there are so many, and not with each step.
_HELD_POINTS = 4 * MAX_POINTS
# Of each stretch of a batch the highest and the lowest of either figure are kept, and of the batch both ends.
_STRETCHES = (MAX_POINTS - 2) // 4

_SEVERITY_RANK: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}


class RunNews(Struct, frozen=True):
    """One run as it is now, and what happened in it since it was last shown."""

    run: LiveRun
    seen_at: float
    """Unix seconds at which it last changed"""
    points: Sequence[LivePoint] = ()
    signals: Sequence[Signal] = ()


def news_of(judged: Judgement) -> dict[RowKey, RunNews]:
    """What a batch of events brought, of each run that it changed."""
    signals: defaultdict[str, list[Signal]] = defaultdict(list)
    for signal in judged.signals:
        signals[signal.run_id].append(signal)
    return {
        key: RunNews(
            run := live_run(key.name.decode(), record), record.seen_at, judged.points[key], signals.get(run.run_id, ())
        )
        for key, record in judged.runs.items()
    }


def joined(older: RunNews, newer: RunNews) -> RunNews:
    """Both, as one: of bounded size, whatever happened. The steps of an attempt that is over are left out."""
    points = newer.points if newer.run.attempt > older.run.attempt else [*older.points, *newer.points]
    return RunNews(
        newer.run,
        newer.seen_at,
        thinned(points) if len(points) > _HELD_POINTS else points,
        [*older.signals, *newer.signals][-MAX_SIGNALS:],
    )


def live_run(run_id: str, record: RunRecord) -> LiveRun:
    """What is shown of a run, from what is stored of it."""
    state, latest = record.state, record.latest
    return LiveRun(
        run_id=run_id,
        project=state.project,
        attempt=state.attempt,
        state=_state(has_ended=state.has_ended, latest=latest),
        last_step=None if state.last_step < 0 else state.last_step,
        loss=finite(latest.loss),
        max_grad=finite(latest.grad_norm),
        event_at=finite(latest.event_at),
        sparkline=spread(state.losses),
        last_signal=_last_signal(latest),
    )


def live_batch(news: RunNews) -> LiveBatch:
    """What is shown of what happened, of bounded size; six digits of a figure are more than a curve shows."""
    return LiveBatch(
        attempt=news.run.attempt,
        points=tuple(
            LivePoint(point.step, _rounded(point.loss), _rounded(point.max_grad)) for point in thinned(news.points)
        ),
        signals=tuple(map(_shortened, news.signals[-MAX_SIGNALS:])),
        state=news.run.state,
    )


def kept_batches(batch: LiveBatch) -> int:
    """How many batches of the run are kept, with this one.

    >>> kept_batches(LiveBatch(attempt=0)), kept_batches(LiveBatch(attempt=0, points=(LivePoint(1, 0.5, None),) * 8))
    (600, 125)
    """
    return min(MAX_BATCHES, KEPT_POINTS // max(1, len(batch.points)))


def thinned(points: Sequence[LivePoint]) -> Sequence[LivePoint]:
    """At most `MAX_POINTS` of `points`, in their order.

    Of more, the first and the last are left, and of equal stretches between them those with the highest and the lowest
    loss and gradient norm: a spike is among them, unless a higher one is near.
    """
    count = len(points)
    if count <= MAX_POINTS:
        return points
    kept = {0, count - 1}
    for stretch in range(_STRETCHES):
        among = range(1 + stretch * (count - 2) // _STRETCHES, 1 + (stretch + 1) * (count - 2) // _STRETCHES)
        kept |= _extremes((points[index].loss, index) for index in among)
        kept |= _extremes((points[index].max_grad, index) for index in among)
    return [points[index] for index in sorted(kept)]


def spread(losses: tuple[float, ...]) -> tuple[float, ...]:
    """At most `SPARKLINE_POINTS` of `losses`, evenly spread, the last among them.

    >>> spread(tuple(range(320)))[:2], spread(tuple(range(320)))[-1], spread((1.0, 2.0))
    ((9, 19), 319, (1.0, 2.0))
    """
    count = len(losses)
    if count <= SPARKLINE_POINTS:
        return losses
    return tuple(losses[(index + 1) * count // SPARKLINE_POINTS - 1] for index in range(SPARKLINE_POINTS))


def _extremes(figures: Iterable[tuple[float | None, int]]) -> set[int]:
    """Where the lowest and the highest figure are."""
    there = [(figure, index) for figure, index in figures if figure is not None]
    return {min(there)[1], max(there)[1]} if there else set()


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else float(f"{figure:.6g}")


def _shortened(signal: Signal) -> Signal:
    if signal.layers is None or len(signal.layers) <= MAX_LAYERS:
        return signal
    return replace(signal, layers=dict(list(signal.layers.items())[:MAX_LAYERS]))


def _state(*, has_ended: bool, latest: Latest) -> State:
    if not has_ended:
        return "running"
    return latest.ending or "ended"


def _last_signal(latest: Latest) -> LiveSignal | None:
    marks = [
        (mark.at, _SEVERITY_RANK[severity], mark.step, type_, severity)
        for type_, by_severity in latest.marks.items()
        for severity, mark in by_severity.items()
    ]
    if not marks:
        return None
    at, _, step, type_, severity = max(marks)
    return LiveSignal(type=type_, severity=severity, step=step, at=at)
