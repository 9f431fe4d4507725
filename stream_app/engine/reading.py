"""What a detector gets to see of one counted step, and what it has to say of it."""

import math

from msgspec import Struct

from producers.events import DetectorType, Severity, StepEvent
from stream_app.engine.state import Streaks
from stream_app.engine.thresholds import Thresholds


class Reading(Struct, frozen=True):
    """One counted event, with the run's windows and streaks around it."""

    event: StepEvent
    max_grad: float | None
    """this event's, possibly not finite"""
    losses: tuple[float, ...]
    """finite, oldest first, this event's included"""
    previous_max_grads: tuple[float, ...]
    """finite, oldest first, this event's excluded"""
    attention_streaks: Streaks
    """this event included"""
    other_streaks: Streaks


class Finding(Struct, frozen=True):
    """What one detector found; a signal unless it is cooling down."""

    type: DetectorType
    severity: Severity
    metric: str
    value: float
    threshold: float | None
    message: str
    layers: dict[str, int] | None = None


def maximum_gradient_norm(event: StepEvent) -> float | None:
    """`maxGrad`, or where that is absent the largest finite value of `gradNorms`, or None."""
    if event.max_grad is not None:
        return event.max_grad
    finite = (norm for norm in (event.grad_norms or {}).values() if norm is not None and math.isfinite(norm))
    return max(finite, default=None)


def dead_finding(type_: DetectorType, streaks: Streaks, reading: Reading, thresholds: Thresholds) -> Finding | None:
    """A warning that names every layer whose streak has reached the dead streak, longest first."""
    dead = [(layer, streak) for layer, streak in streaks.items() if streak >= thresholds.dead_streak]
    if not dead:
        return None
    dead.sort(key=lambda item: (-item[1], item[0]))
    first, longest = dead[0]
    named = ", ".join(layer for layer, _ in dead[:3]) + (f" and {len(dead) - 3} more" if len(dead) > 3 else "")
    return Finding(
        type=type_,
        severity="warning",
        metric=f"grad_norms.{first}",
        value=float(longest),
        threshold=float(thresholds.dead_streak),
        message=f"{named}: gradient norm below {thresholds.dead_norm:g} for up to {longest} consecutive steps "
        f"at step {reading.event.step}; check for detached or saturated parts of the model",
        layers=dict(dead),
    )
