"""A gradient far above its recent mean."""

import math

from producers.events import Severity
from stream_app.engine.reading import Finding, Reading
from stream_app.engine.thresholds import Thresholds


def detect_gradient_spike(reading: Reading, thresholds: Thresholds) -> Finding | None:
    """A maximum gradient norm above 5 times the mean of those before it: warning; above 20 times: critical.

    The value itself is no part of the mean: were it inside, the ratio could never reach 20. Five previous
    values are needed, so a spike at step 5 is the first that can fire:

    >>> from stream_app.engine.replay import signals_of, steps
    >>> [(s.step, s.severity, s.threshold) for s in signals_of(steps(max_grad=[1, 1, 1, 1, 1, 6, 1, 60]))]
    [(5, 'warning', 5.0), (7, 'critical', 34.285714285714285)]
    """
    norm, previous = reading.max_grad, reading.previous_max_grads
    if norm is None or not math.isfinite(norm) or len(previous) < thresholds.spike_min_history:
        return None
    baseline = sum(previous) / len(previous)
    if not (norm > thresholds.spike_warning_ratio * baseline and norm > thresholds.spike_floor):
        return None
    severity: Severity = "critical" if norm > thresholds.spike_critical_ratio * baseline else "warning"
    ratio = thresholds.spike_critical_ratio if severity == "critical" else thresholds.spike_warning_ratio
    return Finding(
        severity=severity,
        metric="max_grad",
        value=norm,
        threshold=ratio * baseline,
        message=f"gradient norm {norm:.4g} at step {reading.event.step} is over {ratio:g} times the mean "
        f"{baseline:.4g} of the last {len(previous)} steps; check the batch, the learning rate and clipping",
    )
