"""Dead layers at their edges: lists from the producer, the bound on a state, what the message names."""

import pytest

from producers.events import MAX_LAYERS, StepEvent
from stream_app.engine.evaluate import evaluate
from stream_app.engine.replay import signals_of, steps
from stream_app.engine.state import RunState
from stream_app.engine.streaks import TooManyLayers
from stream_app.engine.thresholds import ThresholdPolicy, Thresholds

POLICY = ThresholdPolicy()


def reported(index: int, *layers: str) -> StepEvent:
    return StepEvent(run_id="run", step=index, ts=0.0, loss=2.0 + index % 2, dead_layers=list(layers))


def measured(index: int, **norms: float | None) -> StepEvent:
    return StepEvent(run_id="run", step=index, ts=0.0, loss=2.0 + index % 2, grad_norms=norms)


def found(events: list[StepEvent]) -> list[tuple[int, str, dict[str, int] | None]]:
    return [(s.step, s.type, s.layers) for s in signals_of(events)]


def test_a_list_goes_on_with_the_streaks_of_both_kinds() -> None:
    events = [reported(index, "attn", "mlp") for index in range(33)]
    assert found(events) == [
        (0, "attention_head_dead", {"attn": 5}),
        (1, "dead_layers", {"mlp": 6}),
        (30, "attention_head_dead", {"attn": 35}),
        (31, "dead_layers", {"mlp": 36}),
    ]


def test_a_list_and_norms_continue_one_streak() -> None:
    six = [measured(index, mlp=0.0, attn=1.0) for index in range(6)]
    events = [
        *six,
        *[reported(index, "mlp") for index in range(6, 34)],
        *[measured(34, mlp=0.0), measured(35, mlp=1.0)],
    ]
    assert found(events) == [(4, "dead_layers", {"mlp": 5}), (34, "dead_layers", {"mlp": 35})]
    # A report alone makes five; one live measurement ends it.
    assert found([reported(0, "mlp"), measured(1, mlp=0.0), measured(31, mlp=1.0)]) == [(0, "dead_layers", {"mlp": 5})]


def test_the_first_report_is_as_long_as_a_dead_streak_has_to_be() -> None:
    for needed in (1, 2, 9):
        policy = ThresholdPolicy(default=Thresholds(dead_streak=needed))
        (signal,) = signals_of([reported(0, "mlp")], policy)
        assert (signal.layers, signal.threshold) == ({"mlp": needed}, float(needed))


def test_a_list_removes_what_it_does_not_name_and_no_list_leaves_all() -> None:
    three = [measured(index, a=0.0, b=0.0) for index in range(3)]
    silent = StepEvent(run_id="run", step=3, ts=0.0, loss=2.0)
    assert found([*three, silent, measured(4, a=0.0, b=0.0), measured(5, a=0.0, b=1.0)]) == [
        (5, "dead_layers", {"a": 5})
    ]
    assert found([*three, reported(3, "b"), measured(4, a=0.0, b=1.0), measured(34, a=0.0)]) == [
        (3, "dead_layers", {"b": 5})
    ]


def test_a_negative_norm_is_below_the_threshold_like_any_other() -> None:
    assert found(steps(grad_norms=[{"mlp": -1.0}] * 5)) == [(4, "dead_layers", {"mlp": 5})]


def test_one_kind_cooling_down_does_not_silence_the_other() -> None:
    events = [measured(index, mlp=0.0, attn=0.0 if index > 9 else 1.0) for index in range(16)]
    assert found(events) == [(4, "dead_layers", {"mlp": 5}), (14, "attention_head_dead", {"attn": 5})]


def test_a_layer_that_dies_in_a_cooldown_is_named_when_it_ends() -> None:
    events = [measured(index, a=0.0, b=0.0 if index > 9 else 1.0) for index in range(35)]
    assert found(events) == [(4, "dead_layers", {"a": 5}), (34, "dead_layers", {"a": 35, "b": 25})]


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ("a", "a: "),
        ("a b", "a, b: "),
        ("a b c", "a, b, c: "),
        ("a b c d", "a, b, c and 1 more: "),
        ("e d c b a", "a, b, c and 2 more: "),
    ],
)
def test_a_message_names_three_layers_and_counts_the_rest(layers: str, named: str) -> None:
    (signal,) = signals_of([reported(0, *layers.split())])
    assert signal.message.startswith(named + "gradient norm below")
    assert set(signal.layers or {}) == set(layers.split())


def test_the_longest_streak_goes_first_and_names_the_metric() -> None:
    events = [measured(index, b=0.0, a=0.0 if index else 1.0) for index in range(6)]
    assert [(s.metric, s.value) for s in signals_of(events)] == [("grad_norms.b", 5.0)]
    events = [measured(0, z=0.0), *[measured(index, z=0.0, a=0.0) for index in range(1, 4)], reported(4, "a", "z", "b")]
    (signal,) = signals_of(events)
    assert (signal.metric, list((signal.layers or {}).items())) == ("grad_norms.a", [("a", 5), ("b", 5), ("z", 5)])


def test_a_state_holds_sixteen_thousand_dead_layers_and_no_more() -> None:
    full = evaluate(RunState(), reported(0, *map(str, range(MAX_LAYERS))), POLICY).state
    assert len(full.other_streaks) == MAX_LAYERS
    again = evaluate(full, measured(1, **{"0": 0.0}), POLICY).state
    assert len(again.other_streaks) == MAX_LAYERS
    for one_more in ("mlp", "attn"):
        with pytest.raises(TooManyLayers, match="16,385 dead layers; a run has at most 16,384"):
            evaluate(again, measured(2, **{one_more: 0.0}), POLICY)
    # One that comes alive makes room for another.
    assert evaluate(again, measured(2, **{"0": 1.0, "mlp": 0.0}), POLICY).state.other_streaks["mlp"] == 1
