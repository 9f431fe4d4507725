"""What a detector gets to see of one counted step, and what it has to say of it."""

import math
from typing import Annotated

from msgspec import Meta, Struct

from producers.events import MAX_LAYERS, Count, LayerName, Severity, StepEvent, Text
from stream_app.engine.state import Streaks


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
    """What one detector found; a signal of its type unless that is cooling down."""

    severity: Severity
    metric: Text
    """what was judged: loss, max_grad, grad_norms.<layer>"""
    value: float
    threshold: float | None
    """the bound that `value` crossed"""
    message: Text
    """one sentence that a person can act on, with the numbers: what, where, since when"""
    layers: Annotated[dict[LayerName, Count], Meta(max_length=MAX_LAYERS)] | None = None
    """layer → streak"""


def maximum_gradient_norm(event: StepEvent) -> float | None:
    """`maxGrad`, or where that is absent the largest finite value of `gradNorms`, or None."""
    if event.max_grad is not None:
        return event.max_grad
    finite = (norm for norm in (event.grad_norms or {}).values() if norm is not None and math.isfinite(norm))
    return max(finite, default=None)
