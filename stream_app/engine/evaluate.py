"""The engine's one entry: one event applied to one run."""

import math
from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from producers.events import DetectorType, RunStarted, Severity, Signal, SignalType, StepEvent, TrainerEvent
from stream_app.engine.attention_head_dead import detect_attention_head_dead
from stream_app.engine.dead_layers import detect_dead_layers
from stream_app.engine.gradient_spike import detect_gradient_spike
from stream_app.engine.loss_diverging import detect_loss_diverging
from stream_app.engine.loss_plateau import detect_loss_plateau
from stream_app.engine.non_finite import detect_non_finite
from stream_app.engine.own import OwnFailure, ask_own
from stream_app.engine.reading import Finding, Reading, maximum_gradient_norm
from stream_app.engine.state import Emission, RunState
from stream_app.engine.streaks import advance_streaks, split_by_kind
from stream_app.engine.thresholds import ThresholdPolicy, Thresholds

Detector = Callable[[Reading, Thresholds], Finding | None]

DETECTORS: tuple[tuple[DetectorType, Detector], ...] = (
    ("non_finite", detect_non_finite),
    ("loss_diverging", detect_loss_diverging),
    ("gradient_spike", detect_gradient_spike),
    ("attention_head_dead", detect_attention_head_dead),
    ("dead_layers", detect_dead_layers),
    ("loss_plateau", detect_loss_plateau),
)
"""in order of priority; those of installed packages come after them"""

_SEVERITY_RANK: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}


class Outcome(Struct, frozen=True):
    """What one event did to a run."""

    state: RunState
    signal: Signal | None = None
    counted: bool = True
    """False where the event was a duplicate, late, or of an attempt that is over: it changed nothing"""
    max_grad: float | None = None
    """of a step that counted, where it had one; possibly not finite"""
    failures: tuple[OwnFailure, ...] = ()
    """of installed detectors, which said nothing of this step"""


def evaluate(state: RunState, event: TrainerEvent, policy: ThresholdPolicy) -> Outcome:
    """`event` applied to `state`, which it leaves as it is.

    Raises `TooManyLayers`, and then nothing has changed.
    """
    if event.attempt < state.attempt:
        return Outcome(state, counted=False)
    if event.attempt > state.attempt:
        state = _restarted(state, event.attempt)
    match event:
        case StepEvent():
            return _judge(state, event, policy.of(state.project))
        case RunStarted():
            return Outcome(_announced(state, event))
        case _:
            return Outcome(replace(state, has_ended=True), counted=not state.has_ended)


def _restarted(state: RunState, attempt: int) -> RunState:
    """What outlives a restart: what is known of the run, not what was measured of it."""
    return RunState(attempt=attempt, project=state.project, early_stop=state.early_stop, layer_kinds=state.layer_kinds)


def _announced(state: RunState, event: RunStarted) -> RunState:
    attention, other = split_by_kind({**state.attention_streaks, **state.other_streaks}, event.layer_kinds)
    return replace(
        state,
        project=event.project,
        early_stop=event.early_stop,
        layer_kinds=event.layer_kinds,
        attention_streaks=attention,
        other_streaks=other,
    )


def _judge(state: RunState, event: StepEvent, thresholds: Thresholds) -> Outcome:
    if state.has_ended or event.step <= state.last_step:
        return Outcome(state, counted=False)
    max_grad = maximum_gradient_norm(event)
    losses = _push(state.losses, event.loss, thresholds.loss_window)
    attention_streaks, other_streaks = advance_streaks(state, event, thresholds)
    reading = Reading(
        event=event,
        max_grad=max_grad,
        losses=losses,
        previous_max_grads=state.max_grads,
        attention_streaks=attention_streaks,
        other_streaks=other_streaks,
    )
    # All of them see every step, whatever another found: each has a memory to keep.
    own = ask_own(thresholds.own, reading, state.own) if thresholds.own or state.own else None
    found = _first_of_ours(reading, state, thresholds)
    if found is None and own is not None:
        found = _first(own.findings, event.step, state, thresholds)
    emissions = state.emissions
    if found is not None:
        type_, finding = found
        emissions = {**emissions, type_: Emission(event.step, finding.severity)}
    after = replace(
        state,
        last_step=event.step,
        losses=losses,
        max_grads=_push(state.max_grads, max_grad, thresholds.max_grad_window),
        attention_streaks=attention_streaks,
        other_streaks=other_streaks,
        emissions=emissions,
    )
    signal = None if found is None else _signal(state, event, *found)
    if own is None:
        return Outcome(after, signal, max_grad=max_grad)
    return Outcome(replace(after, own=own.memories), signal, max_grad=max_grad, failures=own.failures)


def _push(window: tuple[float, ...], value: float | None, size: int) -> tuple[float, ...]:
    return window if value is None or not math.isfinite(value) else (*window, value)[-size:]


_Found = tuple[SignalType, Finding]


def _first_of_ours(reading: Reading, state: RunState, thresholds: Thresholds) -> _Found | None:
    for type_, detector in DETECTORS:
        finding = detector(reading, thresholds)
        if finding is not None and not _is_cooling(type_, finding, reading.event.step, state, thresholds):
            return type_, finding
    return None


def _first(findings: Iterable[_Found], step: int, state: RunState, thresholds: Thresholds) -> _Found | None:
    return next((found for found in findings if not _is_cooling(*found, step, state, thresholds)), None)


def _is_cooling(type_: SignalType, finding: Finding, step: int, state: RunState, thresholds: Thresholds) -> bool:
    last = state.emissions.get(type_)
    return (
        last is not None
        and step - last.step < thresholds.cooldown_steps
        and _SEVERITY_RANK[finding.severity] <= _SEVERITY_RANK[last.severity]
    )


def _signal(state: RunState, event: StepEvent, type_: SignalType, finding: Finding) -> Signal:
    return Signal(
        signal_id=f"{event.run_id}/{event.attempt}/{event.step}/{type_}",
        run_id=event.run_id,
        project=state.project,
        attempt=event.attempt,
        step=event.step,
        ts=event.ts,
        type=type_,
        severity=finding.severity,
        metric=finding.metric,
        value=finding.value,
        threshold=finding.threshold,
        layers=finding.layers,
        epoch=event.epoch,
        message=finding.message,
        action="stop" if type_ in state.early_stop else None,
    )
