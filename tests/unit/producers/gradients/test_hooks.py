"""Whoever clips or steps, listeners are told first, the call does what torch's does, and nothing is left behind."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad, clip_grad_norm_

from producers.gradients.hooks import listen, stop_listening

PLACES = [
    (module, name)
    for module, names in (
        (nn.utils, ("clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_")),
        (clip_grad, ("clip_grad_norm_", "clip_grad_value_", "_clip_grads_with_norm_")),
    )
    for name in names
]


class Told:
    """A listener that notes what it is told, and then raises `error`."""

    def __init__(self) -> None:
        self.clips: list[list[torch.Tensor]] = []
        self.steps: list[torch.optim.Optimizer] = []
        self.failures: list[Exception] = []
        self.error: Exception | None = None

    def before_clip(self, parameters: Sequence[torch.Tensor]) -> None:
        self.clips.append(list(parameters))
        if self.error:
            raise self.error

    def before_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.steps.append(optimizer)
        if self.error:
            raise self.error

    def failed(self, error: Exception) -> None:
        self.failures.append(error)


@pytest.fixture
def told() -> Iterator[Told]:
    listener = Told()
    listen(listener)
    yield listener
    stop_listening(listener)


@pytest.fixture
def weight() -> nn.Parameter:
    """With a gradient of norm 5."""
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    return weight


def functions() -> list[Callable[..., Any]]:
    return [getattr(module, name) for module, name in PLACES]


def test_everything_is_as_it_was_when_the_last_stops() -> None:
    stop_listening(Told())  # What a listener that is gone may have left goes with any stop.
    before = functions()
    one, two = Told(), Told()
    listen(one)
    listen(two)
    during = functions()
    assert all(ours is not theirs for ours, theirs in zip(during, before, strict=True))
    stop_listening(one)
    assert functions() == during
    stop_listening(two)
    assert functions() == before
    stop_listening(two)
    assert functions() == before


def test_replacements_look_like_what_they_replace(told: Told) -> None:
    assert nn.utils.clip_grad_norm_ is clip_grad.clip_grad_norm_
    assert inspect.signature(nn.utils.clip_grad_norm_) == inspect.signature(clip_grad_norm_)
    assert nn.utils.clip_grad_norm_.__doc__ == clip_grad_norm_.__doc__


@pytest.mark.parametrize(
    "given",
    [lambda weight: weight, lambda weight: [weight], lambda weight: (weight,), lambda weight: {weight: 1}.keys()],
)
def test_told_of_what_is_clipped_and_then_it_is(
    told: Told, weight: nn.Parameter, given: Callable[[nn.Parameter], Any]
) -> None:
    total = nn.utils.clip_grad_norm_(given(weight), 1.0)
    assert total.item() == 5.0
    assert told.clips == [[weight]]
    assert weight.grad is not None
    assert weight.grad.norm().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "make", [iter, lambda weights: (weight for weight in weights), lambda weights: map(weights.__getitem__, range(1))]
)
def test_an_iterator_is_read_once(told: Told, weight: nn.Parameter, make: Callable[[list[nn.Parameter]], Any]) -> None:
    for call in (
        lambda parameters: nn.utils.clip_grad_norm_(parameters, 1.0),
        lambda parameters: nn.utils.clip_grad_value_(parameters=parameters, clip_value=0.5),
    ):
        told.clips.clear()
        weight.grad = torch.tensor([3.0, 4.0])
        call(make([weight]))
        assert told.clips == [[weight]]
        assert weight.grad.norm().item() <= 1.0


def test_torch_still_warns_of_an_empty_generator_and_of_no_empty_list(told: Told) -> None:
    empty = nn.Module()
    with pytest.warns(UserWarning, match="empty generator"):
        nn.utils.clip_grad_norm_(empty.parameters(), 1.0)
    nn.utils.clip_grad_norm_([], 1.0)
    nn.utils.clip_grad_norm_(iter([]), 1.0)
    assert told.clips == [[], [], []]


def test_what_torch_refuses_it_still_refuses(told: Told, weight: nn.Parameter) -> None:
    assert weight.grad is not None
    weight.grad[0] = torch.nan
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_([weight], 1.0, error_if_nonfinite=True)
    with pytest.raises(TypeError, match="parameters"):
        nn.utils.clip_grad_norm_()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="iterable"):
        nn.utils.clip_grad_norm_(3, 1.0)  # type: ignore[arg-type]
    nn.utils.clip_grad_norm_([weight], 1.0)
    assert told.clips == [[weight], [weight]]


def test_one_that_was_imported_before_is_noticed(told: Told, weight: nn.Parameter) -> None:
    clip_grad_norm_([weight], 1.0)
    assert told.clips == [[weight]]


def test_what_a_listener_raises_ends_there(told: Told, weight: nn.Parameter) -> None:
    other = Told()
    listen(other)
    told.error = ValueError("broken")
    optimizer = torch.optim.SGD([weight], lr=1.0)
    nn.utils.clip_grad_norm_([weight], 1.0)
    optimizer.step()
    stop_listening(other)
    assert told.failures == [told.error, told.error]
    assert (other.clips, other.steps, other.failures) == ([[weight]], [optimizer], [])
    assert weight.detach().norm().item() == pytest.approx(1.0)


def test_told_once_of_a_step_whose_closure_is_evaluated_often(told: Told, weight: nn.Parameter) -> None:
    optimizer = torch.optim.LBFGS([weight], max_iter=3)
    evaluations = []

    def closure() -> float:
        evaluations.append(list(told.steps))
        weight.grad = torch.ones(2) / len(evaluations)
        return 1.0 / len(evaluations)

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    assert len(evaluations) > 1
    assert evaluations[0] == [], "gradients come with the first evaluation"
    assert told.steps == [optimizer]


class Replacing:
    """Somebody else who replaces ``torch.nn.utils.clip_grad_norm_``."""

    def __init__(self) -> None:
        self.calls = 0
        self.before = nn.utils.clip_grad_norm_
        nn.utils.clip_grad_norm_ = self

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.calls += 1
        return self.before(*args, **kwargs)

    def restore(self) -> None:
        nn.utils.clip_grad_norm_ = self.before


def test_somebody_who_replaced_it_before(weight: nn.Parameter) -> None:
    theirs, listener = Replacing(), Told()
    listen(listener)
    nn.utils.clip_grad_norm_([weight], 1.0)
    assert (theirs.calls, listener.clips) == (1, [[weight]])
    stop_listening(listener)
    assert nn.utils.clip_grad_norm_ is theirs
    theirs.restore()


def test_somebody_who_replaces_it_afterwards_and_stays_longer(weight: nn.Parameter) -> None:
    original, listener = nn.utils.clip_grad_norm_, Told()
    listen(listener)
    theirs = Replacing()
    nn.utils.clip_grad_norm_([weight], 1.0)
    assert (theirs.calls, listener.clips) == (1, [[weight]])
    stop_listening(listener)
    assert nn.utils.clip_grad_norm_ is theirs
    nn.utils.clip_grad_norm_([weight], 1.0)
    assert (theirs.calls, listener.clips) == (2, [[weight]])

    listen(listener)
    nn.utils.clip_grad_norm_([weight], 1.0)
    assert (theirs.calls, listener.clips) == (3, [[weight], [weight]])
    stop_listening(listener)
    theirs.restore()
    nn.utils.clip_grad_norm_([weight], 1.0)
    assert listener.clips == [[weight], [weight]]
    listen(listener)
    stop_listening(listener)
    assert nn.utils.clip_grad_norm_ is original


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_is_compiled_is_out_of_sight(told: Told, weight: nn.Parameter) -> None:
    optimizer = torch.optim.SGD([weight], lr=1.0)

    def train() -> None:
        nn.utils.clip_grad_norm_([weight], 1.0)
        optimizer.step()

    torch.compile(train, backend="eager")()
    assert weight.detach().norm().item() == pytest.approx(1.0)
    assert (told.clips, told.steps) == ([], [])
    train()
    assert (told.clips, told.steps) == ([[weight]], [optimizer])


def test_one_that_nobody_holds_is_told_no_more(weight: nn.Parameter) -> None:
    listener = Told()
    clips = listener.clips
    listen(listener)
    nn.utils.clip_grad_norm_([weight], 1.0)
    del listener
    nn.utils.clip_grad_norm_([weight], 1.0)
    torch.optim.SGD([weight], lr=1.0).step()
    assert clips == [[weight]]
