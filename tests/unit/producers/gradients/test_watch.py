"""A watch gives what `GradientNorms` measures at the one right moment of every step, whatever the loop looks like."""

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from producers.gradients.norms import GradientNorms, Measured
from producers.gradients.watch import GradientWatch
from tests.unit.producers.gradients.syncs import Syncs
from tests.unit.producers.gradients.watched_models import Watch, backward, new_model, on_meta, sgd


def test_measures_before_an_optimizer_step_and_once(watch: Watch) -> None:
    model = new_model()
    seen, optimizer = watch(model), sgd(model)
    expected = backward(model)
    assert seen.take() is None
    optimizer.step()
    assert seen.take() == expected
    assert seen.take() is None


def test_of_several_steps_the_last_counts(watch: Watch) -> None:
    model = new_model()
    seen, optimizer = watch(model), sgd(model)
    for _ in range(3):
        expected = backward(model)
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        nn.utils.clip_grad_value_(model.parameters(), 1e-6)
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

    optimizer.step(closure)  # type: ignore[no-untyped-call]
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
