"""Attention that no gradient reaches."""

from stream_app.engine.dead import dead_finding
from stream_app.engine.reading import Finding, Reading
from stream_app.engine.thresholds import Thresholds


def detect_attention_head_dead(reading: Reading, thresholds: Thresholds) -> Finding | None:
    """Warning where an attention layer has had a gradient norm below 1e-6 on 5 consecutive events or more.

    >>> from stream_app.engine.replay import signals_of, steps
    >>> norms = [{"layers.0.self_attn": norm} for norm in (0.3, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)]
    >>> [(s.step, s.layers) for s in signals_of(steps(grad_norms=norms))]
    [(6, {'layers.0.self_attn': 5})]
    """
    return dead_finding(reading.attention_streaks, reading, thresholds)
