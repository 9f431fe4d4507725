"""The engine once more, written from the specification alone: slow, over the whole history, nothing shared.

It keeps every event that counted and answers each question by looking back over them, so that it has no
windows to trim and no streaks to carry. What it and the engine agree on is right or wrong twice.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from producers.events import RunCompleted, RunFailed, RunStarted, StepEvent, TrainerEvent

Row = tuple[int, int, str, str, str, float | None, float | None, dict[str, int] | None, str | None, str]
"""attempt, step, type, severity, metric, value, threshold, layers, action, project"""

RANK = {"info": 0, "warning": 1, "critical": 2}
ATTENTION_WORDS = (
    "attn, attention, self_attn, self_attention, cross_attn, crossattention, encoder_attn, mha, multihead_attn, "
    "q_proj, k_proj, v_proj, o_proj, out_proj, qkv, qkv_proj, query_key_value, c_attn, query, key, value, "
    "wq, wk, wv, wo"
).split(", ")


def finite(number: float | None) -> bool:
    return number is not None and not math.isnan(number) and not math.isinf(number)


def is_attention(layer: str, kinds: dict[str, str] | None) -> bool:
    if kinds and layer in kinds:
        return kinds[layer] == "attention"
    parts = layer.replace("/", ".").lower().split(".")
    if "norm" in parts[-1] or parts[-1].startswith("ln"):
        return False
    return any(part in ATTENTION_WORDS for part in parts)


def max_grad_of(event: StepEvent) -> float | None:
    if event.max_grad is not None:
        return event.max_grad
    norms = [norm for norm in (event.grad_norms or {}).values() if finite(norm)]
    return max(norms) if norms else None  # type: ignore[type-var]


def streak_of(layer: str, history: list[StepEvent]) -> int:
    """Replayed from the first event of the attempt."""
    streak = 0
    for event in history:
        if event.grad_norms is not None:
            norm = event.grad_norms.get(layer)
            if norm is None:
                continue
            streak = streak + 1 if finite(norm) and norm < 1e-6 else 0
        elif event.dead_layers is not None:
            streak = max(5, streak + 1) if layer in event.dead_layers else 0
    return streak


def dead(history: list[StepEvent], kinds: dict[str, str] | None, *, attention: bool) -> dict[str, int]:
    layers: dict[str, None] = {}
    for event in history:
        layers.update(dict.fromkeys(event.grad_norms or {}))
        layers.update(dict.fromkeys(event.dead_layers or []))
    streaks = {layer: streak_of(layer, history) for layer in layers if is_attention(layer, kinds) == attention}
    return {layer: streak for layer, streak in streaks.items() if streak >= 5}


Found = tuple[str, str, str, Any, Any, Any]


def findings(history: list[StepEvent], kinds: dict[str, str] | None) -> list[Found]:
    """All that holds at the last event, by priority: type, severity, metric, value, threshold, layers."""
    return [
        *non_finite(history[-1]),
        *loss_diverging(history),
        *gradient_spike(history),
        *without_gradient(history, kinds),
        *loss_plateau(history),
    ]


def non_finite(event: StepEvent) -> Iterator[Found]:
    numbers = [("loss", event.loss), ("max_grad", event.max_grad)]
    numbers += [(f"grad_norms.{layer}", norm) for layer, norm in (event.grad_norms or {}).items()]
    broken = [each for each in numbers if each[1] is not None and not finite(each[1])]
    if broken:
        yield "non_finite", "critical", *broken[0], None, None


def loss_diverging(history: list[StepEvent]) -> Iterator[Found]:
    if not finite(history[-1].loss):
        return
    last = [each.loss for each in history if finite(each.loss)][-11:]
    if len(last) == 11 and all(last[i] >= last[i - 1] for i in range(1, 11)) and last[10] - last[0] > 0.5:
        yield "loss_diverging", "critical", "loss", last[10] - last[0], 0.5, None


def gradient_spike(history: list[StepEvent]) -> Iterator[Found]:
    norm = max_grad_of(history[-1])
    previous = [each for each in map(max_grad_of, history[:-1]) if each is not None and finite(each)][-20:]
    if norm is None or not finite(norm) or len(previous) < 5:
        return
    mean = sum(previous) / len(previous)
    if norm > 20 * mean and norm > 1.0:
        yield "gradient_spike", "critical", "max_grad", norm, 20 * mean, None
    elif norm > 5 * mean and norm > 1.0:
        yield "gradient_spike", "warning", "max_grad", norm, 5 * mean, None


def without_gradient(history: list[StepEvent], kinds: dict[str, str] | None) -> Iterator[Found]:
    for type_, attention in (("attention_head_dead", True), ("dead_layers", False)):
        layers = dead(history, kinds, attention=attention)
        if layers:
            longest = max(layers.values())
            first = min(layer for layer, streak in layers.items() if streak == longest)
            yield type_, "warning", f"grad_norms.{first}", float(longest), 5.0, layers


def loss_plateau(history: list[StepEvent]) -> Iterator[Found]:
    last = [each.loss for each in history if finite(each.loss)][-20:]
    if not finite(history[-1].loss) or len(last) < 20:
        return
    mean = sum(last) / 20
    variance = sum((loss - mean) * (loss - mean) for loss in last) / 20
    if variance < mean * mean * 0.001:
        yield "loss_plateau", "info", "loss", variance, mean * mean * 0.001, None


def reference_signals(events: Iterable[TrainerEvent]) -> list[Row]:
    """What one run's events must give."""
    attempt, history, emitted, ended = -1, list[StepEvent](), dict[str, tuple[int, str]](), False
    project, early_stop, kinds = "default", tuple[str, ...](), None
    rows: list[Row] = []
    for event in events:
        if event.attempt < attempt:
            continue
        if event.attempt > attempt:
            attempt, history, emitted, ended = event.attempt, [], {}, False
        if isinstance(event, RunStarted):
            project, early_stop, kinds = event.project, event.early_stop, event.layer_kinds
            continue
        if isinstance(event, RunCompleted | RunFailed):
            ended = True
            continue
        if ended or (history and event.step <= history[-1].step):
            continue
        history.append(event)
        for type_, severity, metric, value, threshold, layers in findings(history, kinds):  # type: ignore[arg-type]
            last = emitted.get(type_)
            if last and event.step - last[0] < 30 and RANK[severity] <= RANK[last[1]]:
                continue
            emitted[type_] = (event.step, severity)
            action = "stop" if type_ in early_stop else None
            rows.append((attempt, event.step, type_, severity, metric, value, threshold, layers, action, project))
            break
    return rows
