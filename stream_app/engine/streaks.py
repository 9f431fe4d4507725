"""Streaks: for how many consecutive counted events each layer has had no gradient."""

import math
from collections.abc import Mapping

from producers.events import MAX_LAYERS, LayerKind, StepEvent
from stream_app.engine.layers import is_attention
from stream_app.engine.state import RunState, Streaks
from stream_app.engine.thresholds import Thresholds


class TooManyLayers(ValueError):
    """A run names more dead layers than its state may hold."""


def advance_streaks(state: RunState, event: StepEvent, thresholds: Thresholds) -> tuple[Streaks, Streaks]:
    """The attention streaks and the others after `event`, each holding only layers below the dead norm.

    Raises `TooManyLayers` past 16,384 layers, so that no producer can grow a run's state without bound.
    """
    before = (state.attention_streaks, state.other_streaks)
    if event.grad_norms is not None:
        norms = event.grad_norms
        # -inf is not finite and so not dead.
        dead = [layer for layer, norm in norms.items() if norm is not None and -math.inf < norm < thresholds.dead_norm]
        if not dead and before == ({}, {}):
            return before
        held = {**before[0], **before[1]}
        after = {layer: streak for layer, streak in held.items() if norms.get(layer) is None}
        after |= {layer: held.get(layer, 0) + 1 for layer in dead}
    elif event.dead_layers is not None:
        held = {**before[0], **before[1]}
        after = {layer: max(thresholds.dead_streak, held.get(layer, 0) + 1) for layer in event.dead_layers}
    else:
        return before
    if len(after) > MAX_LAYERS:
        raise TooManyLayers(f"{len(after):,} dead layers; a run has at most {MAX_LAYERS:,}")
    return split_by_kind(after, state.layer_kinds)


def split_by_kind(streaks: Streaks, kinds: Mapping[str, LayerKind] | None) -> tuple[Streaks, Streaks]:
    """`streaks` as the attention layers' and the others'."""
    attention = {layer: streak for layer, streak in streaks.items() if is_attention(layer, kinds)}
    return attention, {layer: streak for layer, streak in streaks.items() if layer not in attention}
