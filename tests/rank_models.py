"""A model in one piece beside the same on several ranks, trained alike and measured both ways."""

from collections.abc import Callable, Iterator

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from producers.gradients.norms import GradientNorms
from producers.gradients.watch import GradientWatch
from producers.ranks import is_publishing_rank
from tests.ranks import Steps

STEPS = 3
WIDTH = 6
BATCH = 8


class Block(nn.Module):
    """`hidden` rows: seven are more on one rank than on another."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up_proj = nn.Linear(WIDTH, hidden)
        self.down_proj = nn.Linear(hidden, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down_proj(torch.relu(self.up_proj(self.norm(x))))  # type: ignore[no-any-return]


class Model(nn.Module):
    """With a parameter that is frozen, one that is never used, and one that is smaller than the number of ranks."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(hidden) for _ in range(2))
        self.blocks[0].up_proj.requires_grad_(False)
        self.unused = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)  # type: ignore[no-any-return]


def models(hidden: int = 7) -> tuple[Model, Model]:
    """The same model twice."""
    torch.manual_seed(0)
    model, whole = Model(hidden), Model(hidden)
    whole.load_state_dict(model.state_dict())
    return model, whole


def batches(count: int = STEPS) -> Iterator[torch.Tensor]:
    """The same on every rank."""
    torch.manual_seed(1)
    for _ in range(count):
        yield torch.randn(BATCH, WIDTH)


def share(batch: torch.Tensor) -> torch.Tensor:
    """This rank's part of it."""
    return batch.chunk(distributed.get_world_size())[distributed.get_rank()]


def is_last() -> bool:
    return distributed.get_rank() == distributed.get_world_size() - 1


def backward(model: nn.Module, batch: torch.Tensor) -> None:
    model(batch).square().mean().backward()


def world_mesh() -> DeviceMesh:
    return init_device_mesh("cpu", (distributed.get_world_size(),))


def sharded(model: Model, mesh: DeviceMesh) -> Model:
    """By FSDP2, block by block; the two blocks differ in what is left to the root."""
    fully_shard(model.blocks[0], mesh=mesh)
    fully_shard(model.get_submodule("blocks.1.up_proj"), mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def watched(model: nn.Module, *, timeout_seconds: float = 60.0) -> GradientWatch:
    return GradientWatch(model, takes=is_publishing_rank(), timeout_seconds=timeout_seconds)


def alongside(
    model: nn.Module,
    whole: nn.Module,
    watch: GradientWatch,
    *,
    data: Callable[[torch.Tensor], torch.Tensor] = share,
    step: Callable[[int, torch.optim.Optimizer], object] = lambda _, optimizer: optimizer.step(),
) -> Steps:
    """Train both; `step` (number, optimizer) is what the training does after backward."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, foreach=False)
    reference = torch.optim.SGD(whole.parameters(), lr=0.01)
    norms = GradientNorms(whole)
    seen = []
    for number, batch in enumerate(batches()):
        optimizer.zero_grad()
        reference.zero_grad()
        backward(model, data(batch))
        backward(whole, batch)
        expected = norms.measure()
        step(number, optimizer)
        seen.append((watch.take(), expected))
        # Each step is compared by itself: the two need not stay the same.
        reference.step()
        _copy(model, whole)
    return seen


@torch.no_grad()
def _copy(model: nn.Module, whole: nn.Module) -> None:
    for mine, its in zip(model.parameters(), whole.parameters(), strict=True):
        full = mine.full_tensor() if isinstance(mine, DTensor) else mine
        its.copy_(full)


def clip(model: nn.Module) -> Callable[[int, torch.optim.Optimizer], object]:
    """Clip to next to nothing, then step."""

    def step(_: int, optimizer: torch.optim.Optimizer) -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        optimizer.step()

    return step
