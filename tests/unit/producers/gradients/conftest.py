"""Watches that are closed when their test ends."""

from collections.abc import Iterator

import pytest
from torch import nn

from producers.gradients.watch import GradientWatch, Scaler
from tests.unit.producers.gradients.watched_models import Watch


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
