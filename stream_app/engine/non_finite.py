"""A number that is none: every comparison with NaN is false, so without this a NaN run looks healthy."""

import math

from stream_app.engine.reading import Finding, Reading
from stream_app.engine.thresholds import Thresholds


def detect_non_finite(reading: Reading, _: Thresholds) -> Finding | None:
    """Critical where the loss, the maximum gradient norm or any layer's norm is not finite.

    >>> from stream_app.engine.replay import signals_of, steps
    >>> [(s.step, s.metric, s.value) for s in signals_of(steps(loss=[2.0, 1.9, float("nan"), 1.8]))]
    [(2, 'loss', nan)]
    """
    event = reading.event
    if not math.isfinite(event.loss):
        return _finding("loss", event.loss, event.step)
    if event.max_grad is not None and not math.isfinite(event.max_grad):
        return _finding("max_grad", event.max_grad, event.step)
    if event.grad_norms:
        for layer, norm in event.grad_norms.items():
            if norm is not None and not math.isfinite(norm):
                return _finding(f"grad_norms.{layer}", norm, event.step)
    return None


def _finding(metric: str, value: float, step: int) -> Finding:
    return Finding(
        severity="critical",
        metric=metric,
        value=value,
        threshold=None,
        message=f"{metric} is {value} at step {step}; stop the run and resume from a checkpoint before this step "
        "with a lower learning rate or a check of the data",
    )
