"""A watch gives what `GradientNorms` measures at the one right moment of every step, whatever the loop looks like."""

import gc
import logging
import math
import weakref
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from producers.gradient_watch import STEPS_BEFORE_COMPLAINT, GradientWatch, Scaler
from producers.gradients import GradientNorms, Measured
from tests.unit.producers.syncs import Syncs

Watch = Callable[..., GradientWatch]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Makes watches, and closes them."""
    made: list[GradientWatch] = []

    def make(model: nn.Module, *, scaler: Scaler | None = None, takes: bool = True) -> GradientWatch:
        made.append(GradientWatch(model, scaler=scaler, takes=takes))
        return made[-1]

    yield make
    for each in made:
        each.close()


def new_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1))


def on_meta() -> nn.Sequential:
    """With gradients that have no numbers."""
    model = new_model().to("meta")
    for parameter in model.parameters():
        parameter.grad = torch.empty_like(parameter)
    return model


def sgd(model: nn.Module, *, fused: bool = False) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.1, fused=fused)


def backward(model: nn.Module, factor: float = 1.0) -> Measured:
    """Add to the gradients, and say what they are then."""
    torch.manual_seed(1)
    (factor * model(torch.randn(3, next(model.parameters()).shape[1])).square().sum()).backward()
    return GradientNorms(model).measure()


def test_measures_before_an_optimizer_step_and_once(watch: Watch) -> None:
    model = new_model()
    seen, optimizer = watch(model), sgd(model)
    expected = backward(model)
    assert seen.take() is None
    optimizer.step()
    assert seen.take() == expected
    assert seen.take() is None


def test_of_several_steps_the_first_counts(watch: Watch) -> None:
    model = new_model()
    seen, optimizer = watch(model), sgd(model)
    expected = backward(model)
    optimizer.step()
    backward(model)
    optimizer.step()
    assert seen.take() == expected


def test_gradients_that_accumulate_are_measured_whole(watch: Watch) -> None:
    model = new_model()
    seen, optimizer = watch(model), sgd(model)
    backward(model)
    expected = backward(model)
    optimizer.step()
    assert seen.take() == expected


@pytest.mark.parametrize(
    "clip",
    [
        lambda model: nn.utils.clip_grad_norm_(model.parameters(), 1e-3),
        lambda model: nn.utils.clip_grad_norm_(parameters=list(model.parameters()), max_norm=1e-3),
        lambda model: [nn.utils.clip_grad_norm_(each, 1e-3) for each in model.parameters()],
        lambda model: nn.utils.clip_grad_value_(model.parameters(), 1e-3),
        lambda model: nn.utils.clip_grad.clip_grad_norm_(model.parameters(), 1e-3),
        lambda model: nn.utils.clip_grad.clip_grad_value_(model.parameters(), 1e-3),
        lambda model: nn.utils.clip_grads_with_norm_(model.parameters(), 1e-3, torch.tensor(5.0)),
        lambda model: clip_grad_norm_(model.parameters(), 1e-3),
    ],
)
def test_measures_before_a_clip(watch: Watch, clip: Callable[[nn.Module], object]) -> None:
    model = new_model()
    seen, optimizer = watch(model), sgd(model)
    expected = backward(model)
    clip(model)
    assert GradientNorms(model).measure() != expected, "it clips"
    optimizer.step()
    assert seen.take() == expected


def test_a_clip_that_nobody_sees_needs_measure(watch: Watch) -> None:
    model = new_model()
    seen, optimizer = watch(model), sgd(model)
    expected = backward(model)
    seen.measure()
    clip_grad_value_(model.parameters(), 1e-3)
    optimizer.step()
    assert seen.take() == expected


def test_a_clip_of_a_part_leaves_the_rest_to_the_step(watch: Watch) -> None:
    model = new_model()
    seen, optimizer = watch(model), sgd(model)
    expected = backward(model)
    nn.utils.clip_grad_norm_(model[0].parameters(), 1e-3)
    optimizer.step()
    assert seen.take() == expected


def test_optimizers_that_share_a_model(watch: Watch) -> None:
    model, other = new_model(), new_model()
    seen = watch(model)
    first, second, unrelated = sgd(model[0]), sgd(model[2]), sgd(other)
    expected = backward(model)
    backward(other)
    unrelated.step()
    assert seen.take() is None
    first.step()
    second.step()
    assert seen.take() == expected
    backward(model)
    second.step()
    partly = seen.take()
    assert partly is not None
    assert set(partly.grad_norms) == {"2"}


@pytest.mark.parametrize("call", [lambda step, closure: step(closure), lambda step, closure: step(closure=closure)])
def test_backward_in_a_closure(watch: Watch, call: Callable[..., object]) -> None:
    model = new_model()
    seen, optimizer = watch(model), sgd(model)
    backward(model, 100.0)
    expected = []

    def closure() -> str:
        optimizer.zero_grad()
        expected.append(backward(model))
        return "the loss"

    assert call(optimizer.step, closure) == "the loss"
    assert seen.take() == expected[0]


def test_of_a_closure_that_is_evaluated_often_the_first_counts(watch: Watch) -> None:
    model = new_model()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)
    seen = watch(model)
    expected = []

    def closure() -> float:
        optimizer.zero_grad()
        expected.append(backward(model))
        return 1.0 / len(expected)

    optimizer.step(closure)
    assert len(expected) > 1
    assert seen.take() == expected[0]


def test_frozen_parameters_and_absent_gradients_until_they_come(watch: Watch) -> None:
    model = new_model()
    model[0].requires_grad_(False)
    seen, optimizer = watch(model), sgd(model)
    optimizer.step()
    assert seen.take() is None
    backward(model)
    optimizer.step()
    partly = seen.take()
    assert partly is not None
    assert set(partly.grad_norms) == {"2"}
    model[0].requires_grad_(True)
    expected = backward(model)
    optimizer.step()
    assert seen.take() == expected
    assert set(expected.grad_norms) == {"0", "2"}


def test_tied_weights_count_once(watch: Watch) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    seen, optimizer = watch(model), sgd(model)
    expected = backward(model)
    optimizer.step()
    assert seen.take() == expected


def test_watches_beside_each_other(watch: Watch) -> None:
    one, two = new_model(), nn.Linear(4, 1)
    first, second, again = watch(one), watch(two), watch(one)
    expected = backward(one), backward(two)
    sgd(one).step()
    sgd(two).step()
    first.close()
    assert (second.take(), again.take()) == (expected[1], expected[0])
    expected = backward(one), backward(two)
    nn.utils.clip_grad_norm_([*one.parameters(), *two.parameters()], 1e-3)
    assert (first.take(), second.take(), again.take()) == (None, expected[1], expected[0])


def test_closed_it_measures_nothing(watch: Watch) -> None:
    model = new_model()
    seen = watch(model)
    seen.close()
    seen.close()
    backward(model)
    seen.measure()
    sgd(model).step()
    assert seen.take() is None


def test_on_a_rank_that_does_not_publish_it_does_nothing(watch: Watch) -> None:
    model = new_model()
    seen = watch(model, takes=False)
    backward(model)
    with Syncs() as syncs:
        seen.measure()
        sgd(model).step()
        assert seen.take() is None
    assert syncs.count == 0


def test_no_sync_in_the_loop_and_one_to_take(watch: Watch) -> None:
    model = on_meta()
    seen, optimizers = watch(model), (sgd(model[0]), sgd(model[2]))
    with Syncs() as syncs:
        for optimizer in optimizers:
            optimizer.step()
        seen.measure()
        assert syncs.count == 0
        measured = seen.take()
    assert syncs.count == 1
    assert measured == Measured(0.0, {"0": 0.0, "2": 0.0})


def test_no_parameter_is_kept_alive(watch: Watch) -> None:
    model = new_model()
    seen = watch(model)
    backward(model)
    sgd(model).step()
    alive = [weakref.ref(parameter) for parameter in model.parameters()]
    del model
    gc.collect()
    assert [reference() for reference in alive] == [None] * 4
    assert seen.take() is not None
    seen.measure()
    assert seen.take() is None


def test_a_watch_that_nobody_holds_is_gone() -> None:
    model = new_model()
    seen = weakref.ref(GradientWatch(model))
    gc.collect()
    assert seen() is None
    backward(model)
    sgd(model).step()


class Weird(torch.Tensor):
    """A gradient that nothing can be done with."""

    error: BaseException = RuntimeError("no")

    @classmethod
    def __torch_function__(cls, func: object, types: object, args: object = (), kwargs: object = None) -> object:
        raise cls.error


class Interrupting(Weird):
    """As by Ctrl-C."""

    error = KeyboardInterrupt()


def test_what_fails_is_said_once_and_costs_that_step_alone(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    model = new_model()
    seen, optimizer = watch(model), sgd(model[2])
    for _ in range(2):
        optimizer.zero_grad()
        expected = backward(model[2:])
        model[0].weight.grad = torch.zeros(5, 4).as_subclass(Weird)
        seen.measure()
        optimizer.step()
        assert seen.take() is None
        assert seen.take() is None
    model[0].weight.grad = None
    optimizer.step()
    measured = seen.take()
    assert measured is not None
    assert measured.max_grad == expected.max_grad
    assert caplog.messages == ["gradients cannot be measured: RuntimeError: no"]


def test_what_fails_in_taking_costs_that_step_alone(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    model, there = new_model(), on_meta()
    seen = watch(nn.Sequential(model, there))
    for _ in range(2):
        sgd(there).step()
        assert seen.take() is None
    assert len(caplog.messages) == 1
    assert "meta" in caplog.messages[0]
    expected = backward(model)
    sgd(model).step()
    measured = seen.take()
    assert measured is not None
    assert measured.max_grad == expected.max_grad


def test_an_interrupt_passes(watch: Watch) -> None:
    model = new_model()
    watch(model)
    optimizer = sgd(model)
    model[0].weight.grad = torch.zeros(5, 4).as_subclass(Interrupting)
    with pytest.raises(KeyboardInterrupt):
        optimizer.step()


def test_says_when_nothing_is_ever_seen(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    model, stepped = new_model(), new_model()
    watch(model)
    optimizer = sgd(stepped)
    for _ in range(STEPS_BEFORE_COMPLAINT - 1):
        optimizer.step()
    assert caplog.messages == []
    optimizer.step()
    optimizer.step()
    assert len(caplog.messages) == 1
    assert "no gradient of the watched model was seen in 10 optimizer steps" in caplog.messages[0]
    assert caplog.records[0].name == "streakline"
    assert caplog.records[0].levelno == logging.WARNING


def test_says_nothing_when_something_was_seen(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    model = new_model()
    seen, optimizer = watch(model), sgd(model)
    backward(model)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert seen.take() is not None
    optimizer.zero_grad()
    for _ in range(STEPS_BEFORE_COMPLAINT + 1):
        optimizer.step()
    assert caplog.messages == []


def scaled_backward(model: nn.Module, scaler: torch.amp.GradScaler) -> None:
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.float16):
        loss = model(torch.randn(3, 4)).square().sum()
    scaler.scale(loss).backward()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("clips", [False, True])
def test_scaled_gradients_are_measured_in_the_losss_own_scale(watch: Watch, fused: bool, clips: bool) -> None:
    model, plain = new_model(), new_model()
    expected = backward(plain)
    optimizer = sgd(model, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**6)
    seen = watch(model, scaler=scaler)
    for _ in range(2):
        optimizer.zero_grad()
        model.load_state_dict(plain.state_dict())
        scaled_backward(model, scaler)
        if clips:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        scaler.step(optimizer)
        scaler.update()
        measured = seen.take()
        assert measured is not None
        assert measured.max_grad == pytest.approx(expected.max_grad, rel=1e-2)
        assert measured.grad_norms == pytest.approx(expected.grad_norms, rel=1e-2)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("clips", [False, True])
def test_overflows_until_the_scale_has_settled_are_left_out(watch: Watch, fused: bool, clips: bool) -> None:
    model = new_model()
    optimizer = sgd(model, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    seen = watch(model, scaler=scaler)
    scales, measured = [], []
    for _ in range(8):
        optimizer.zero_grad()
        scaled_backward(model, scaler)
        scales.append(scaler.get_scale())
        if clips:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1e9)
        scaler.step(optimizer)
        scaler.update()
        measured.append(seen.take())
    overflows = sum(scale != following for scale, following in zip(scales, scales[1:], strict=False))
    assert 0 < overflows < 7, "the scale falls, and settles"
    assert measured[:overflows] == [None] * overflows
    for each in measured[overflows:]:
        assert each is not None
        assert all(map(math.isfinite, each.grad_norms.values()))


@pytest.mark.parametrize(
    ("scaler", "is_given"),
    [
        (None, True),
        (torch.amp.GradScaler("cpu", enabled=False), True),
        (torch.amp.GradScaler("cpu", init_scale=1.0), False),
        (torch.amp.GradScaler("cpu", init_scale=0.5), True),
    ],
)
def test_what_no_scale_can_explain_is_given(watch: Watch, scaler: Scaler | None, is_given: bool) -> None:
    model = new_model()
    seen, optimizer = watch(model, scaler=scaler), sgd(model)
    backward(model)
    model[0].bias.grad = torch.full((5,), math.inf)
    optimizer.step()
    measured = seen.take()
    assert (measured is not None) == is_given
    if measured is not None:
        assert measured.max_grad == math.inf


def test_the_scale_is_asked_for_in_need_only(watch: Watch) -> None:
    class Unasked:
        def is_enabled(self) -> bool:
            return True

        def get_scale(self) -> float:
            raise AssertionError("waits for the device")

    model = new_model()
    seen = watch(model, scaler=Unasked())
    expected = backward(model)
    sgd(model).step()
    assert seen.take() == expected
