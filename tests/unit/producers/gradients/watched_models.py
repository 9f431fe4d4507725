"""A small model, its training step by step, and what its gradients are."""

from collections.abc import Callable

import torch
from torch import nn

from producers.gradients.norms import GradientNorms, Measured
from producers.gradients.watch import GradientWatch

Watch = Callable[..., GradientWatch]
"""makes one that is closed when its test ends: the fixture `watch`"""


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


def loss_of(model: nn.Module, factor: float = 1.0) -> torch.Tensor:
    torch.manual_seed(1)
    return factor * model(torch.randn(3, next(model.parameters()).shape[1])).square().sum()  # type: ignore[no-any-return]


def backward(model: nn.Module, factor: float = 1.0) -> Measured:
    """Add to the gradients, and say what they are then."""
    loss_of(model, factor).backward()  # type: ignore[no-untyped-call]
    return GradientNorms(model).measure()
