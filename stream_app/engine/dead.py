"""Layers that no gradient reaches, of either kind."""

from stream_app.engine.reading import Finding, Reading
from stream_app.engine.state import Streaks
from stream_app.engine.thresholds import Thresholds


def dead_finding(streaks: Streaks, reading: Reading, thresholds: Thresholds) -> Finding | None:
    """A warning that names every layer whose streak has reached the dead streak, longest first."""
    dead = [(layer, streak) for layer, streak in streaks.items() if streak >= thresholds.dead_streak]
    if not dead:
        return None
    dead.sort(key=lambda item: (-item[1], item[0]))
    first, longest = dead[0]
    named = ", ".join(layer for layer, _ in dead[:3]) + (f" and {len(dead) - 3} more" if len(dead) > 3 else "")
    return Finding(
        severity="warning",
        metric=f"grad_norms.{first}",
        value=float(longest),
        threshold=float(thresholds.dead_streak),
        message=f"{named}: gradient norm below {thresholds.dead_norm:g} for up to {longest} consecutive steps "
        f"at step {reading.event.step}; check for detached or saturated parts of the model",
        layers=dict(dead),
    )
