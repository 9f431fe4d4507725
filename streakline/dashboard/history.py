"""One run's curves and signals, of what the archive has and what Redis still holds: each step and each signal once."""

from collections.abc import Iterable, Sequence

from streakline.report.content import Marker, Timeline
from streakline.report.markers import marker_of
from stream_app.live import LiveBatch, LivePoint


def joined(timelines: Sequence[Timeline], batches: Iterable[LiveBatch]) -> tuple[Timeline, ...]:
    """The timelines by attempt, oldest first; of a step that both have, what Redis says."""
    archived = {timeline.attempt: timeline for timeline in timelines}
    live: dict[int, dict[int, LivePoint]] = {}
    for batch in batches:
        live.setdefault(batch.attempt, {}).update({point.step: point for point in batch.points})
    return tuple(
        _joined(attempt, archived.get(attempt), live.get(attempt, {})) for attempt in sorted({*archived, *live})
    )


def _joined(attempt: int, archived: Timeline | None, live: dict[int, LivePoint]) -> Timeline:
    if archived is None:
        archived = Timeline(attempt=attempt, steps=(), loss=(), max_grad=(), total_steps=0, non_finite=0)
    columns = zip(archived.steps, archived.loss, archived.max_grad, strict=True)
    points = {step: LivePoint(step, loss, grad) for step, loss, grad in columns}
    last = archived.steps[-1] if archived.steps else -1
    ordered = [point for _, point in sorted({**points, **live}.items())]
    return Timeline(
        attempt=attempt,
        steps=tuple(point.step for point in ordered),
        loss=tuple(point.loss for point in ordered),
        max_grad=tuple(point.max_grad for point in ordered),
        total_steps=archived.total_steps + sum(step > last for step in live),
        non_finite=archived.non_finite,
    )


def all_signals(archived: Iterable[Marker], batches: Iterable[LiveBatch]) -> tuple[Marker, ...]:
    """By attempt and step, each once."""
    live = (marker_of(signal) for batch in batches for signal in batch.signals)
    found = {_known_by(marker): marker for marker in (*archived, *live)}
    return tuple(sorted(found.values(), key=lambda marker: (marker.attempt, marker.step)))


def _known_by(marker: Marker) -> tuple[int, int, str, str]:
    """A `signal_id` has the run, these three, and for a regression the category, of which the message tells."""
    return marker.attempt, marker.step, marker.type, marker.message if marker.type == "category_regressed" else ""
