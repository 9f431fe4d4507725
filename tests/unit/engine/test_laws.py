"""What holds of the engine whatever a run does."""

import math
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.events import Signal, StepEvent, TrainerEvent
from stream_app.engine.evaluate import evaluate
from stream_app.engine.layers import is_attention
from stream_app.engine.replay import Replay, signals_of, steps
from stream_app.engine.state import RunState, decode_state, encode_state
from stream_app.engine.streaks import TooManyLayers
from stream_app.engine.thresholds import ThresholdPolicy
from tests.unit.engine.streams import disturbed, streams

POLICY = ThresholdPolicy()
RANK = {"info": 0, "warning": 1, "critical": 2}

laws = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def states_of(events: Sequence[TrainerEvent]) -> list[RunState]:
    replay = Replay()
    states = []
    for event in events:
        replay.apply(event)
        states.append(replay.states[event.run_id])
    return states


def as_text(signals: Sequence[Signal]) -> list[str]:
    # A NaN does not equal itself.
    return list(map(repr, signals))


@laws
@given(disturbed())
def test_duplicates_and_late_events_change_nothing(pair: tuple[Sequence[TrainerEvent], Sequence[TrainerEvent]]) -> None:
    events, noisy = pair
    assert as_text(list(signals_of(noisy))) == as_text(list(signals_of(events)))
    if events:
        assert states_of(noisy)[-1] == states_of(events)[-1]


@laws
@given(streams(), st.data())
def test_a_stream_may_be_split_anywhere_and_its_state_restored(
    events: Sequence[TrainerEvent], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(events)))
    replay, restored = Replay(), Replay()
    signals = [signal for event in events[:cut] if (signal := replay.apply(event))]
    restored.states = {run: decode_state(encode_state(state)) for run, state in replay.states.items()}
    signals += [signal for event in events[cut:] if (signal := restored.apply(event))]
    assert as_text(signals) == as_text(list(signals_of(events)))


@laws
@given(streams())
def test_a_state_is_exact_through_its_encoding_and_bounded(events: Sequence[TrainerEvent]) -> None:
    for state in states_of(events):
        again = decode_state(encode_state(state))
        assert again == state
        # Equality takes -0.0 for 0.0, text does not.
        assert repr(again) == repr(state)
        assert len(state.losses) <= 20
        assert len(state.max_grads) <= 20
        assert all(map(math.isfinite, state.losses + state.max_grads))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_any_finite_number_survives_in_a_state(numbers: list[float]) -> None:
    state = RunState(losses=tuple(numbers), max_grads=tuple(numbers))
    assert repr(decode_state(encode_state(state))) == repr(state)


@laws
@given(streams())
def test_the_streak_maps_hold_only_layers_below_the_threshold_each_of_its_kind(events: Sequence[TrainerEvent]) -> None:
    for event, state in zip(events, states_of(events), strict=True):
        assert all(is_attention(layer, state.layer_kinds) for layer in state.attention_streaks)
        assert not any(is_attention(layer, state.layer_kinds) for layer in state.other_streaks)
        streaks = state.attention_streaks | state.other_streaks
        assert min(streaks.values(), default=1) >= 1
        counted = isinstance(event, StepEvent) and event.step == state.last_step and event.attempt == state.attempt
        if counted and isinstance(event, StepEvent) and event.grad_norms is not None:
            measured = {layer: norm for layer, norm in event.grad_norms.items() if norm is not None}
            below = {layer for layer, norm in measured.items() if math.isfinite(norm) and norm < 1e-6}
            assert streaks.keys() & measured.keys() == below


@laws
@given(streams())
def test_within_a_cooldown_a_type_only_returns_more_severe(events: Sequence[TrainerEvent]) -> None:
    last: dict[tuple[int, str], Signal] = {}
    for signal in signals_of(events):
        before = last.get((signal.attempt, signal.type))
        if before is not None and signal.step - before.step < 30:
            assert RANK[signal.severity] > RANK[before.severity]
        last[signal.attempt, signal.type] = signal


@laws
@given(streams())
def test_an_event_gives_at_most_one_signal_and_its_id_names_it(events: Sequence[TrainerEvent]) -> None:
    ids = [signal.signal_id for signal in signals_of(events)]
    assert len(set(ids)) == len(ids)
    by_step = defaultdict(list)
    for signal in signals_of(events):
        assert signal.signal_id == f"{signal.run_id}/{signal.attempt}/{signal.step}/{signal.type}"
        by_step[signal.attempt, signal.step].append(signal)
    assert all(len(signals) == 1 for signals in by_step.values())


@laws
@given(streams())
def test_evaluating_leaves_its_input_as_it_was(events: Sequence[TrainerEvent]) -> None:
    state = RunState()
    for event in events:
        before = encode_state(state)
        outcome = evaluate(state, event, POLICY)
        assert encode_state(state) == before
        state = outcome.state


def scaled(events: Sequence[StepEvent], loss: float = 1.0, gradient: float = 1.0) -> list[StepEvent]:
    return [
        msgspec.structs.replace(
            event, loss=event.loss * loss, max_grad=None if event.max_grad is None else event.max_grad * gradient
        )
        for event in events
    ]


def types_and_steps(events: Sequence[TrainerEvent], *types: str) -> list[tuple[int, str, str]]:
    return [(s.step, s.type, s.severity) for s in signals_of(events) if s.type in types]


# Powers of two, so that scaling is exact; losses that move both more and less than a plateau allows.
factors = st.sampled_from([2.0**power for power in range(-20, 21)])
losses = st.lists(st.sampled_from([1.0, 1.0, 1.0, 1.0 + 2**-7, 1.0 + 2**-4, 1.5]), min_size=20, max_size=80)
norms = st.lists(st.sampled_from([2.0, 2.0, 2.0, 2.5, 9.75, 10.25, 45.0]), min_size=6, max_size=60)


@given(losses, factors)
def test_a_plateau_does_not_depend_on_the_unit_of_the_loss(values: list[float], factor: float) -> None:
    events = steps(loss=values)
    assert types_and_steps(scaled(events, loss=factor), "loss_plateau") == types_and_steps(events, "loss_plateau")


@given(norms, st.sampled_from([2.0**power for power in range(21)]))
def test_a_spike_does_not_depend_on_the_unit_of_the_gradient_above_its_floor(
    values: list[float], factor: float
) -> None:
    events = steps(max_grad=values)
    assert types_and_steps(scaled(events, gradient=factor), "gradient_spike") == types_and_steps(
        events, "gradient_spike"
    )


@given(st.lists(st.integers(-2, 12), min_size=11, max_size=60), st.integers(-1000, 1000))
def test_divergence_does_not_depend_on_where_the_loss_starts(rises: list[int], offset: int) -> None:
    # Sixteenths, so that adding is exact.
    values = [sum(rises[: index + 1]) / 16 for index in range(len(rises))]
    shifted = [value + offset for value in values]
    assert types_and_steps(steps(loss=values), "loss_diverging") == types_and_steps(
        steps(loss=shifted), "loss_diverging"
    )


@pytest.mark.parametrize("reported", [True, False])
def test_no_producer_can_grow_a_state_without_bound(reported: bool) -> None:
    replay = Replay()

    def event(step: int, first: int) -> StepEvent:
        names = [f"layer-{index}" for index in range(first, first + 10_000)]
        dead = {"dead_layers": names} if reported else {"grad_norms": dict.fromkeys(names, 0.0)}
        return StepEvent(run_id="run", step=step, ts=0.0, loss=1.0, **dead)

    replay.apply(event(0, 0))
    before = replay.states["run"]
    if reported:
        # A list replaces what was listed before.
        replay.apply(event(1, 10_000))
        assert len(replay.states["run"].other_streaks) == 10_000
        return
    with pytest.raises(TooManyLayers):
        replay.apply(event(1, 10_000))
    assert replay.states["run"] is before
