"""A timeline as its plot takes it, and in words and a short table for whoever does not see that."""

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from producers.events import Severity
from streakline.report.content import Marker, Timeline

STRETCHES = 16
_TOLD = 240
"""characters of a message in a tooltip"""


class Stretch(Struct, frozen=True):
    """Some steps of an attempt, in the order of the run. None where there was nothing to measure."""

    first: int
    last: int
    loss_low: float | None
    loss_high: float | None
    loss_last: float | None
    norm_high: float | None


class Course(Struct, frozen=True):
    """What one attempt came to."""

    attempt: int
    total_steps: int
    non_finite: int
    whole: Stretch | None
    """None: no steps"""
    stretches: tuple[Stretch, ...]


class Mark(Struct, frozen=True):
    """A signal, as the plot takes it."""

    attempt: int
    step: int
    type: str
    severity: Severity
    value: float | None
    threshold: float | None
    message: str


def course(timeline: Timeline) -> Course:
    """The attempt in about `STRETCHES` stretches of equally many points."""
    count = len(timeline.steps)
    parts = min(STRETCHES, count)
    bounds = [round(index * count / parts) for index in range(parts + 1)] if parts else []
    return Course(
        attempt=timeline.attempt,
        total_steps=timeline.total_steps,
        non_finite=timeline.non_finite,
        whole=_stretch(timeline, 0, count) if count else None,
        stretches=tuple(_stretch(timeline, begin, end) for begin, end in pairwise(bounds)),
    )


def brief(timeline: Timeline) -> Timeline:
    """To six digits, of which the plot shows four: half the bytes."""
    return Timeline(
        attempt=timeline.attempt,
        steps=timeline.steps,
        loss=_rounded(timeline.loss),
        max_grad=_rounded(timeline.max_grad),
        total_steps=timeline.total_steps,
        non_finite=timeline.non_finite,
    )


def explained(marker: Marker) -> Mark:
    """What the tooltip says of a signal; the table has the rest."""
    short = marker.message if len(marker.message) <= _TOLD else f"{marker.message[: _TOLD - 1]}…"
    return Mark(
        attempt=marker.attempt,
        step=marker.step,
        type=marker.type,
        severity=marker.severity,
        value=marker.value,
        threshold=marker.threshold,
        message=short,
    )


def _rounded(values: Sequence[float | None]) -> tuple[float | None, ...]:
    return tuple(None if value is None else float(f"{value:.6g}") for value in values)


def _stretch(timeline: Timeline, begin: int, end: int) -> Stretch:
    loss = [value for value in timeline.loss[begin:end] if value is not None]
    norm = [value for value in timeline.max_grad[begin:end] if value is not None]
    return Stretch(
        first=timeline.steps[begin],
        last=timeline.steps[end - 1],
        loss_low=min(loss, default=None),
        loss_high=max(loss, default=None),
        loss_last=loss[-1] if loss else None,
        norm_high=max(norm, default=None),
    )
