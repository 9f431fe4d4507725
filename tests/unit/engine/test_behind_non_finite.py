"""What each detector makes of numbers that are none, seen while `non_finite` is cooling down.

Where `non_finite` fires it is the event's one signal, whatever the others would have said.
"""

import math

import pytest

from producers.events import StepEvent
from stream_app.engine.replay import signals_of

NAN, INF = math.nan, math.inf


def step(index: int, **values: object) -> StepEvent:
    # A loss that moves and a norm that is none leave only what is asked about to fire.
    fields = {"run_id": "run", "step": index, "ts": 0.0, "loss": 2.0 + index % 2, **values}
    return StepEvent(**fields)  # type: ignore[arg-type]


def fired(events: list[StepEvent]) -> list[tuple[int, str, str]]:
    return [(s.step, s.type, s.severity) for s in signals_of(events)]


@pytest.mark.parametrize("missing", [NAN, INF, -INF])
def test_divergence_needs_this_loss_to_be_finite(missing: float) -> None:
    rising = [step(index, loss=float(index)) for index in range(10)]
    # The eleventh loss completes the rise, but the event's signal is non_finite's.
    events = [*rising, step(10, loss=10.0, max_grad=NAN), step(11, loss=missing), step(12, loss=11.0)]
    assert fired(events) == [(10, "non_finite", "critical"), (12, "loss_diverging", "critical")]


@pytest.mark.parametrize("missing", [NAN, INF, -INF])
def test_a_plateau_needs_this_loss_to_be_finite(missing: float) -> None:
    flat = [step(index, loss=1.0) for index in range(19)]
    events = [*flat, step(19, loss=1.0, max_grad=NAN), step(20, loss=missing), step(21, loss=1.0)]
    assert fired(events) == [(19, "non_finite", "critical"), (21, "loss_plateau", "info")]


@pytest.mark.parametrize("missing", [NAN, INF, -INF])
def test_a_spike_needs_this_norm_to_be_finite(missing: float) -> None:
    calm = [step(index, max_grad=1.0) for index in range(5)]
    events = [*calm, step(5, max_grad=missing), step(6, max_grad=missing), step(7, max_grad=6.0)]
    assert fired(events) == [(5, "non_finite", "critical"), (7, "gradient_spike", "warning")]


def test_a_max_grad_that_is_no_number_is_not_made_up_for_by_the_layers() -> None:
    calm = [step(index, max_grad=1.0) for index in range(5)]
    events = [*calm, step(5, max_grad=NAN), step(6, max_grad=NAN, grad_norms={"a": 60.0}), step(7, max_grad=6.0)]
    signals = list(signals_of(events))
    assert [(s.step, s.type, s.threshold) for s in signals] == [(5, "non_finite", None), (7, "gradient_spike", 5.0)]


def test_without_max_grad_the_largest_layer_that_is_finite_counts() -> None:
    calm = [step(index, grad_norms={"a": 1.0, "b": 0.5}) for index in range(5)]
    broken = [step(5, grad_norms={"a": NAN}), step(6, grad_norms={"a": INF, "b": NAN, "c": None, "d": -INF})]
    spike = step(7, grad_norms={"a": INF, "b": 6.0, "c": NAN, "d": None, "e": 5.5})
    non_finite, signal = signals_of([*calm, *broken, spike])
    assert (non_finite.step, non_finite.type) == (5, "non_finite")
    assert (signal.step, signal.type, signal.value, signal.threshold) == (7, "gradient_spike", 6.0, 5.0)


def test_a_loss_that_is_no_number_hides_neither_a_spike_nor_dead_layers() -> None:
    events = [step(index, loss=NAN, max_grad=1.0, grad_norms={"attn": 0.0, "mlp": 0.0}) for index in range(7)]
    events[5] = step(5, loss=NAN, max_grad=6.0, grad_norms={"attn": 0.0, "mlp": 0.0})
    assert fired(events) == [
        (0, "non_finite", "critical"),
        (4, "attention_head_dead", "warning"),
        (5, "gradient_spike", "warning"),
        (6, "dead_layers", "warning"),
    ]
