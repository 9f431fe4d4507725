"""A loss that no longer moves."""

import math

from stream_app.engine.reading import Finding, Reading
from stream_app.engine.thresholds import Thresholds


def detect_loss_plateau(reading: Reading, thresholds: Thresholds) -> Finding | None:
    """Info where the full window of losses has a population variance below 0.001 times its squared mean.

    The window holds 20 losses, so a loss that never moves fires at step 19:

    >>> from stream_app.engine.replay import signals_of, steps
    >>> [s.step for s in signals_of(steps(loss=[1.0] * 30))]
    [19]
    """
    losses = reading.losses
    if not math.isfinite(reading.event.loss) or len(losses) < thresholds.loss_window:
        return None
    mean = sum(losses) / len(losses)
    variance = sum((loss - mean) * (loss - mean) for loss in losses) / len(losses)
    bound = mean * mean * thresholds.plateau_relative_variance
    if not variance < bound:
        return None
    epoch = reading.event.epoch
    where = f"step {reading.event.step}" + ("" if epoch is None else f", epoch {epoch:g}")
    return Finding(
        severity="info",
        metric="loss",
        value=variance,
        threshold=bound,
        message=f"loss has stayed at {mean:.4g} for the last {len(losses)} steps ({where}); "
        "stop here, or change the learning rate, if it should still be improving",
    )
