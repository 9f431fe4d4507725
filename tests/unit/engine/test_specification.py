"""The sentences of the specification, one by one, at their edges."""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from producers.codec import decode
from producers.events import RunCompleted, RunFailed, RunStarted, Signal, StepEvent, TrainerEvent
from stream_app.engine.layers import is_attention
from stream_app.engine.replay import signals_of, steps
from stream_app.engine.thresholds import ThresholdPolicy, Thresholds, load_policy, parse_policy
from tests.recordings import RECORDINGS

NAN, INF = math.nan, math.inf
MOVING = [2.0, 3.0] * 60


def fired(events: Iterable[TrainerEvent], type_: str | None = None) -> list[tuple[int, str, str]]:
    return [(s.step, s.type, s.severity) for s in signals_of(events) if type_ in (None, s.type)]


def only(events: Iterable[TrainerEvent]) -> Signal:
    (signal,) = signals_of(events)
    return signal


def step(index: int, **values: object) -> StepEvent:
    return StepEvent(**{"run_id": "run", "step": index, "ts": float(index), "loss": MOVING[index], **values})  # type: ignore[arg-type]


# Which events count


def test_steps_may_have_gaps_and_consecutive_means_those_that_count() -> None:
    events = [step(index * 7, loss=2.0, grad_norms={"mlp": 0.0}) for index in range(5)]
    assert fired(events) == [(28, "dead_layers", "warning")]


def test_a_greater_attempt_restarts_everything_and_an_old_one_is_ignored() -> None:
    rising = [2.0 + 0.1 * index for index in range(11)]
    first = [step(index, loss=loss) for index, loss in enumerate(rising[:-1])]
    assert fired([*first, step(10, loss=rising[10])]) == [(10, "loss_diverging", "critical")]
    assert fired([*first, step(10, loss=rising[10], attempt=1)]) == []
    again = [step(index, loss=loss, attempt=1) for index, loss in enumerate(rising)]
    # The cooldown of the first attempt is over with it; what comes late of it does not count.
    late = [step(11, loss=9.0), step(12, loss=NAN)]
    assert fired([*first, step(10, loss=rising[10]), *again[:5], *late, *again[5:]]) == [
        (10, "loss_diverging", "critical"),
        (10, "loss_diverging", "critical"),
    ]


def test_the_start_of_the_same_attempt_only_tells_of_the_run() -> None:
    rising = [step(index, loss=2.0 + 0.1 * index) for index in range(11)]
    told = RunStarted(run_id="run", ts=0.0, project="p", early_stop=("loss_diverging",))
    signal = only([*rising[:6], told, *rising[6:]])
    assert (signal.step, signal.project, signal.action) == (10, "p", "stop")


def test_what_is_known_of_a_run_outlives_a_restart() -> None:
    told = RunStarted(run_id="run", ts=0.0, project="p", early_stop=("non_finite",))
    signal = only([told, step(0, loss=NAN, attempt=3)])
    assert (signal.project, signal.action, signal.attempt) == ("p", "stop", 3)


def test_a_run_that_was_never_announced_is_of_the_default_project() -> None:
    signal = only([step(0, loss=NAN)])
    assert (signal.project, signal.action) == ("default", None)


@pytest.mark.parametrize(
    "end", [RunCompleted(run_id="run", ts=0.0, steps=1), RunFailed(run_id="run", ts=0.0, error="x")]
)
def test_the_end_of_a_run_is_the_end_of_its_attempt(end: TrainerEvent) -> None:
    assert fired([step(0), end, step(1, loss=NAN)]) == []
    assert fired([step(0), end, step(1, loss=NAN, attempt=1)]) == [(1, "non_finite", "critical")]


# 0: non_finite


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize(
    ("values", "metric"),
    [
        (lambda bad: {"loss": bad, "max_grad": bad}, "loss"),
        (lambda bad: {"max_grad": bad, "grad_norms": {"a": bad}}, "max_grad"),
        (lambda bad: {"grad_norms": {"a": 1.0, "b": None, "c": bad, "d": bad}}, "grad_norms.c"),
    ],
)
def test_non_finite_names_the_first_number_that_is_none(
    value: float, values: Callable[[float], dict[str, object]], metric: str
) -> None:
    signal = only([step(0, **values(value))])
    assert (signal.type, signal.severity, signal.metric, signal.threshold) == ("non_finite", "critical", metric, None)
    assert repr(signal.value) == repr(value)


def test_learning_rate_and_epoch_do_not_count() -> None:
    assert fired([step(0, learning_rate=NAN, epoch=INF)]) == []


# 1: loss_diverging


def test_ten_comparisons_need_eleven_losses() -> None:
    assert fired(steps(loss=[float(index) for index in range(10)])) == []
    assert fired(steps(loss=[float(index) for index in range(11)])) == [(10, "loss_diverging", "critical")]


def test_equal_losses_do_not_break_a_rise_and_a_fall_does() -> None:
    assert fired(steps(loss=[0.0] * 10 + [0.75])) == [(10, "loss_diverging", "critical")]
    assert fired(steps(loss=[*range(5), 3.5, *range(5, 10)])) == []


def test_a_rise_of_exactly_one_half_is_not_enough() -> None:
    assert fired(steps(loss=[1.0] * 10 + [1.5])) == []
    signal = only(steps(loss=[1.0] * 10 + [1.5625]))
    assert (signal.value, signal.threshold, signal.metric) == (0.5625, 0.5, "loss")


def test_a_loss_that_is_no_number_enters_no_window_and_is_compared_with_nothing() -> None:
    losses = [float(index) for index in range(10)]
    assert fired(steps(loss=[*losses[:5], NAN, *losses[5:], 10.0])) == [
        (5, "non_finite", "critical"),
        (11, "loss_diverging", "critical"),
    ]
    assert fired(steps(loss=[*losses, INF]), "loss_diverging") == []


# 2: gradient_spike


def test_a_spike_needs_five_previous_values() -> None:
    assert fired(steps(max_grad=[1.0, 1.0, 1.0, 1.0, 50.0])) == []
    assert fired(steps(max_grad=[1.0, 1.0, 1.0, 1.0, 1.0, 50.0])) == [(5, "gradient_spike", "critical")]


@pytest.mark.parametrize(
    ("norm", "severity"), [(5.0, None), (5.0625, "warning"), (20.0, "warning"), (20.0625, "critical")]
)
def test_a_bound_is_passed_only_above_it(norm: float, severity: str | None) -> None:
    assert [each[2] for each in fired(steps(max_grad=[1.0] * 5 + [norm]))] == ([] if severity is None else [severity])


def test_a_norm_up_to_one_is_no_spike() -> None:
    assert fired(steps(max_grad=[0.001] * 5 + [1.0])) == []
    assert fired(steps(max_grad=[0.001] * 5 + [1.0625])) == [(5, "gradient_spike", "critical")]
    assert fired(steps(max_grad=[0.0] * 5 + [1.0625])) == [(5, "gradient_spike", "critical")]


def test_the_mean_is_of_the_last_twenty_before_it_and_finite_ones_only() -> None:
    signal = only(steps(max_grad=[100.0] * 5 + [1.0] * 20 + [6.0]))
    assert (signal.step, signal.value, signal.threshold, signal.metric) == (25, 6.0, 5.0, "max_grad")
    with_gaps = [step(index, max_grad=norm) for index, norm in enumerate([1.0, INF, 1.0, 1.0, 1.0, 1.0, 6.0])]
    assert fired(with_gaps, "gradient_spike") == [(6, "gradient_spike", "warning")]


def test_without_max_grad_the_largest_finite_layer_counts() -> None:
    calm: list[Mapping[str, float | None]] = [{"a": 1.0, "b": 0.5, "c": None}] * 5
    assert fired(steps(grad_norms=[*calm, {"a": 0.5, "b": 6.0}])) == [(5, "gradient_spike", "warning")]
    assert fired(steps(grad_norms=[*calm, {"a": INF, "b": 6.0}]), "gradient_spike") == []  # non_finite comes first
    # maxGrad is what counts where both are there.
    both = [step(index, max_grad=1.0, grad_norms={"a": 50.0 if index == 5 else 1.0}) for index in range(6)]
    assert fired(both) == []


# 3 and 4: attention_head_dead, dead_layers


def test_a_layer_is_dead_at_five_events_below_a_millionth() -> None:
    assert fired(steps(grad_norms=[{"mlp": 1e-6}] * 9)) == []
    assert fired(steps(grad_norms=[{"mlp": 9.99e-7}] * 4)) == []
    assert fired(steps(grad_norms=[{"mlp": 9.99e-7}] * 5)) == [(4, "dead_layers", "warning")]


@pytest.mark.parametrize("alive", [1e-6, 0.5, NAN, INF, -INF])
def test_anything_not_below_removes_the_layer(alive: float) -> None:
    events = steps(grad_norms=[{"mlp": 0.0}] * 4 + [{"mlp": alive}] + [{"mlp": 0.0}] * 4)
    assert fired(events, "dead_layers") == []


@pytest.mark.parametrize("silent", [{}, {"other": 1.0}, {"mlp": None}])
def test_a_layer_that_is_not_measured_keeps_its_streak(silent: dict[str, float | None]) -> None:
    events = steps(grad_norms=[{"mlp": 0.0}] * 4 + [silent] * 3 + [{"mlp": 0.0}])
    assert fired(events) == [(7, "dead_layers", "warning")]


def test_attention_goes_first_and_the_others_follow() -> None:
    events = steps(grad_norms=[{"0.attn": 0.0, "0.mlp": 0.0, "1.mlp": 0.0, "2.mlp": 1.0}] * 6)
    first, second = signals_of(events)
    assert (first.step, first.type, first.layers) == (4, "attention_head_dead", {"0.attn": 5})
    assert (second.step, second.type, second.layers) == (5, "dead_layers", {"0.mlp": 6, "1.mlp": 6})
    assert (second.metric, second.value, second.threshold) == ("grad_norms.0.mlp", 6.0, 5.0)


def test_a_list_of_dead_layers_is_the_measurement_where_there_are_no_norms() -> None:
    assert fired([step(0, dead_layers=["mlp"])]) == [(0, "dead_layers", "warning")]
    assert only([step(0, dead_layers=["a", "a"]), step(1, dead_layers=["a"])]).layers == {"a": 5}
    grown = [step(index, dead_layers=["mlp"]) for index in range(31)]
    assert [signal.layers for signal in signals_of(grown)] == [{"mlp": 5}, {"mlp": 35}]


def test_a_layer_that_is_no_longer_listed_is_alive() -> None:
    four = [step(index, grad_norms={"b": 0.0}) for index in range(4)]
    assert fired([*four, step(4, dead_layers=[]), step(5, grad_norms={"b": 0.0})]) == []
    assert only([*four, step(4, dead_layers=["b"])]).layers == {"b": 5}


def test_a_list_beside_norms_is_not_read() -> None:
    assert fired([step(0, grad_norms={}, dead_layers=["mlp"])]) == []
    assert fired([step(0, grad_norms={"a": 1.0}, dead_layers=["mlp"])]) == []


def test_streaks_grow_through_a_cooldown() -> None:
    events = steps(grad_norms=[{"mlp": 0.0}] * 40)
    assert [(s.step, s.layers) for s in signals_of(events)] == [(4, {"mlp": 5}), (34, {"mlp": 35})]


@pytest.mark.parametrize(
    "layer",
    ["attn", "model.layers.0.self_attn", "h/3/Attn/c_attn", "block.MHA.out", "encoder.layer.1.attention.self.query.0"],
)
def test_attention_by_name(layer: str) -> None:
    assert is_attention(layer)


@pytest.mark.parametrize(
    "layer",
    [
        "mlp",
        "attn.norm",
        "self_attn.ln_1",
        "attention.input_layernorm",
        "x.attn.LN_attn",
        "attention_mlp",
        "flash.attn2",
    ],
)
def test_not_attention_by_name(layer: str) -> None:
    assert not is_attention(layer)


def test_a_map_of_kinds_overrides_the_name_for_what_it_lists() -> None:
    told = RunStarted(run_id="run", ts=0.0, layer_kinds={"mixer": "attention", "attn": "other"})
    dead = steps(grad_norms=[{"mixer": 0.0, "attn": 0.0, "0.attn": 0.0}] * 6)
    assert [(s.type, s.layers) for s in signals_of([told, *dead])] == [
        ("attention_head_dead", {"0.attn": 5, "mixer": 5}),
        ("dead_layers", {"attn": 6}),
    ]
    # Told later, the streaks so far are those of the new kinds.
    assert [(s.type, s.step) for s in signals_of([*dead[:3], told, *dead[3:]])] == [
        ("attention_head_dead", 4),
        ("dead_layers", 5),
    ]


# 5: loss_plateau


def test_a_plateau_needs_twenty_losses_and_this_one_finite() -> None:
    assert fired(steps(loss=[1.0] * 19)) == []
    assert fired(steps(loss=[1.0] * 20)) == [(19, "loss_plateau", "info")]
    assert fired(steps(loss=[1.0] * 19 + [NAN, 1.0])) == [(19, "non_finite", "critical"), (20, "loss_plateau", "info")]


def test_a_plateau_is_judged_by_population_variance_over_squared_mean() -> None:
    # Half at 1 - d, half at 1 + d: the mean is 1 and the population variance d².
    def at(deviation: float) -> list[float]:
        return [1.0 - deviation, 1.0 + deviation] * 10

    assert fired(steps(loss=at(0.0316)), "loss_plateau") == [(19, "loss_plateau", "info")]
    assert fired(steps(loss=at(0.0317)), "loss_plateau") == []
    assert fired(steps(loss=[0.0] * 20)) == []  # 0 is not less than 0.
    assert fired(steps(loss=[-1.0] * 20)) == [(19, "loss_plateau", "info")]


def test_a_plateau_shows_the_epoch() -> None:
    events = [step(index, loss=1.0, epoch=0.25) for index in range(20)]
    assert "epoch 0.25" in only(events).message
    assert only(events).epoch == 0.25


def test_huge_losses_do_not_overflow_into_an_error() -> None:
    assert fired(steps(loss=[1e308, 1.7e308] * 10)) == []
    assert fired(steps(loss=[1e200] * 20)) == []


# Cooldown


def test_a_type_is_silent_for_thirty_steps_and_fires_again_where_it_still_holds() -> None:
    assert [each[0] for each in fired(steps(loss=[NAN] * 61))] == [0, 30, 60]
    gap = [step(0, loss=NAN), step(29, loss=NAN), step(30, loss=NAN)]
    assert [each[0] for each in fired(gap)] == [0, 30]


def test_a_higher_severity_passes_and_a_lower_one_then_waits() -> None:
    norms = [1.0] * 5 + [8.0, 60.0, 70.0] + [1.0] * 20 + [8.0] + [1.0] * 7 + [8.0]
    assert fired(steps(max_grad=norms)) == [
        (5, "gradient_spike", "warning"),
        (6, "gradient_spike", "critical"),
        (36, "gradient_spike", "warning"),
    ]


def test_a_detector_that_cools_down_does_not_block_those_behind_it() -> None:
    events = [step(index, loss=1.0, grad_norms={"a": NAN, "mlp": 0.0}) for index in range(20)]
    assert fired(events) == [(0, "non_finite", "critical"), (4, "dead_layers", "warning"), (19, "loss_plateau", "info")]


# The signal


def test_a_signal_has_every_field_of_its_event() -> None:
    started = RunStarted(run_id="team/run", ts=0.0, attempt=2, project="p", early_stop=("dead_layers",))
    event = StepEvent(run_id="team/run", attempt=2, step=7, ts=12.5, loss=1.0, dead_layers=["b", "a"], epoch=0.5)
    signal = only([started, event])
    assert signal.signal_id == "team/run/2/7/dead_layers"
    assert (signal.run_id, signal.project, signal.attempt, signal.step, signal.ts) == ("team/run", "p", 2, 7, 12.5)
    assert (signal.metric, signal.layers, signal.epoch) == ("grad_norms.a", {"a": 5, "b": 5}, 0.5)
    assert signal.action == "stop"
    assert signal.message == (
        "a, b: gradient norm below 1e-06 for up to 5 consecutive steps at step 7; "
        "check for detached or saturated parts of the model"
    )


# Thresholds


def test_every_threshold_can_be_set_for_all_and_for_a_project() -> None:
    policy = parse_policy(b"[default]\ncooldown_steps = 5\n[projects.p]\ndead_streak = 2\n")
    assert policy.of("other") == Thresholds(cooldown_steps=5)
    assert policy.of("p") == Thresholds(cooldown_steps=5, dead_streak=2)
    dead: list[TrainerEvent] = [RunStarted(run_id="run", ts=0.0, project="p"), *steps(grad_norms=[{"mlp": 0.0}] * 8)]
    assert [s.step for s in signals_of(dead, policy)] == [1, 6]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[default]\ncooldown = 5", "cooldown"),
        ("[default]\ncooldown_steps = -5", ">= 0"),
        ("[default]\nloss_window = 10", "loss_window must be greater"),
        ("[default]\nspike_critical_ratio = 2", "spike_critical_ratio"),
        ("[default]\nspike_min_history = 50", "max_grad_window"),
        ("[projects.'no spaces']\ndead_streak = 2", "regex"),
        ("[default", "end of document"),
    ],
)
def test_thresholds_that_cannot_be_right_are_one_sentence(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "thresholds.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=complaint) as caught:
        load_policy(file)
    assert str(caught.value).startswith(str(file))


def test_no_file_is_the_defaults() -> None:
    assert load_policy(None) == ThresholdPolicy()


# The recorded runs

GOLDEN = {
    # Healthy: nothing.
    "smollm2-finetune": [],
    # Norms 9, 23.5, 17.3, 10.3, 26.1 and then 328: over 5 and below 20 times their mean of 17.2. The loss
    # leaps from 2 to 9 but falls on some of any ten steps.
    "smollm2-diverging": [(5, "gradient_spike", "warning", 327.877, 86.24)],
    # From step 16 on layers.9.self_attn has no gradient and layers.6.mlp hardly any: five events at step 20,
    # six at 21. layers.13.mlp is above 1e-6 once, at step 19.
    "smollm2-dead-layers": [(20, "attention_head_dead", "warning", 5.0, 5.0), (21, "dead_layers", "warning", 6.0, 5.0)],
}


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_the_recorded_runs_give_what_they_should(path: Path) -> None:
    signals = signals_of(decode(line) for line in path.read_bytes().splitlines())
    found = [(s.step, s.type, s.severity, round(s.value, 3), round(s.threshold or 0.0, 3)) for s in signals]
    assert found == GOLDEN[path.stem]
