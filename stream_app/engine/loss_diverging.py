"""A loss that only rises."""

import math
from itertools import pairwise

from stream_app.engine.reading import Finding, Reading
from stream_app.engine.thresholds import Thresholds


def detect_loss_diverging(reading: Reading, thresholds: Thresholds) -> Finding | None:
    """Critical where ten consecutive finite losses each did not fall, and rose by over 0.5 in all.

    Ten comparisons need eleven losses, so a loss that rises from the first step fires at step 10:

    >>> from stream_app.engine.replay import signals_of, steps
    >>> [(s.step, round(s.value, 3)) for s in signals_of(steps(loss=[2 + 0.06 * i for i in range(20)]))]
    [(10, 0.6)]
    """
    losses = reading.losses[-(thresholds.divergence_comparisons + 1) :]
    if not math.isfinite(reading.event.loss) or len(losses) <= thresholds.divergence_comparisons:
        return None
    rise = losses[-1] - losses[0]
    if rise <= thresholds.divergence_rise or any(later < earlier for earlier, later in pairwise(losses)):
        return None
    return Finding(
        severity="critical",
        metric="loss",
        value=rise,
        threshold=thresholds.divergence_rise,
        message=f"loss rose by {rise:.3g} to {losses[-1]:.4g} over the last {thresholds.divergence_comparisons} steps "
        f"without once falling (step {reading.event.step}); lower the learning rate or roll back",
    )
