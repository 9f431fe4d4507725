"""Layers, attention aside, that no gradient reaches."""

from stream_app.engine.dead import dead_finding
from stream_app.engine.reading import Finding, Reading
from stream_app.engine.thresholds import Thresholds


def detect_dead_layers(reading: Reading, thresholds: Thresholds) -> Finding | None:
    """Warning where a layer other than attention has had a gradient norm below 1e-6 on 5 consecutive events or more.

    >>> from stream_app.engine.replay import signals_of, steps
    >>> norms = [{"layers.0.mlp": 0.0, "layers.1.mlp": 0.4}] * 8
    >>> [(s.step, s.layers, s.threshold) for s in signals_of(steps(grad_norms=norms))]
    [(4, {'layers.0.mlp': 5}, 5.0)]
    """
    return dead_finding(reading.other_streaks, reading, thresholds)
