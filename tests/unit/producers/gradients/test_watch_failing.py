"""What a watch cannot measure is said once, costs that step alone, and never reaches the loop."""

import logging

import pytest
import torch
from torch import nn

from producers.gradients.watch import STEPS_BEFORE_COMPLAINT
from tests.unit.producers.gradients.watched_models import Watch, backward, new_model, on_meta, sgd


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
