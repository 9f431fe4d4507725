"""Trainings on several ranks, each beside the same training in one piece: what was measured, and what it should be.

Run as a module it is one rank: the scenarios it is told, one line of JSON each.
"""

import logging
import sys
from contextlib import nullcontext
from datetime import timedelta
from unittest.mock import patch

import msgspec
import torch
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)

from producers.gradients.norms import GradientNorms
from producers.gradients.watch import GradientWatch
from producers.ranks import any_rank, is_publishing_rank
from tests.rank_models import (
    STEPS,
    WIDTH,
    Model,
    alongside,
    backward,
    batches,
    clip,
    is_last,
    models,
    sharded,
    share,
    watched,
    world_mesh,
)
from tests.ranks import Outcome, Steps

SOON_SECONDS = 1.0


def ddp() -> Steps:
    """Only the rank that publishes watches."""
    model, whole = models()
    parallel = nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
    if is_publishing_rank():
        return alongside(parallel, whole, GradientWatch(parallel), step=clip(parallel))
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.01)
    for batch in batches():
        optimizer.zero_grad()
        backward(parallel, share(batch))
        clip(parallel)(0, optimizer)
    return []


def fsdp2() -> Steps:
    model, whole = models()
    sharded(model, world_mesh())
    return alongside(model, whole, watched(model))


def fsdp2_clipped() -> Steps:
    """At the price of one small all-reduce a step."""
    model, whole = models()
    sharded(model, world_mesh())
    with patch.object(distributed, "all_reduce", wraps=distributed.all_reduce) as all_reduce:
        steps = alongside(model, whole, watched(model), step=clip(model))
    assert all_reduce.call_count == STEPS
    return steps


def fsdp2_fused() -> Steps:
    """Scaled gradients, which the optimizer itself unscales."""
    model, whole = models()
    sharded(model, world_mesh())
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)

    def step(_: int, __: torch.optim.Optimizer) -> None:
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(4.0)
        scaler.scale(torch.zeros(()))
        scaler.step(optimizer)
        scaler.update()

    return alongside(model, whole, watched(model), step=step)


def fsdp2_measured(*, everywhere: bool = True) -> Steps:
    """A clip of the trainer's own, which nobody sees, behind an explicit `measure`."""
    model, whole = models()
    sharded(model, world_mesh())
    watch = watched(model)

    def step(_: int, optimizer: torch.optim.Optimizer) -> None:
        if everywhere or is_publishing_rank():
            watch.measure()
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(1e-3)
        optimizer.step()

    return alongside(model, whole, watch, step=step)


def fsdp2_measured_on_one_rank() -> Steps:
    return fsdp2_measured(everywhere=False)


def fsdp2_two_optimizers() -> Steps:
    model, whole = models()
    sharded(model, world_mesh())
    optimizers = [
        torch.optim.SGD(part.parameters(), lr=0.01) for part in (model.blocks[0], model.blocks[1], model.head)
    ]

    def step(number: int, _: torch.optim.Optimizer) -> None:
        if number == 1:
            nn.utils.clip_grad_norm_(model.blocks[1].parameters(), 1e-3)
        for optimizer in optimizers:
            optimizer.step()

    return alongside(model, whole, watched(model), step=step)


def fsdp2_overflowing_rank() -> Steps:
    """A GradScaler skips the second step, since what the last rank holds has overflown; the others' has not."""
    model, whole = models()
    sharded(model, world_mesh())
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    watch = GradientWatch(model, scaler=scaler, takes=is_publishing_rank())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, foreach=False)
    seen = []
    for number, batch in enumerate(batches()):
        optimizer.zero_grad()
        whole.zero_grad()
        scaler.scale(model(share(batch)).square().mean()).backward()
        backward(whole, batch)
        if number == 1 and is_last():
            grad = model.get_parameter("blocks.1.up_proj.weight").grad
            assert isinstance(grad, DTensor)
            grad.to_local().fill_(torch.inf)
        scaler.step(optimizer)
        scaler.update()
        seen.append((watch.take(), GradientNorms(whole).measure()))
    return seen


def fsdp2_two_steps_a_report() -> Steps:
    """Of which the last counts."""
    model, whole = models()
    sharded(model, world_mesh())

    def step(_: int, optimizer: torch.optim.Optimizer) -> None:
        for factor in (0.5, 2.0):  # Exact, both.
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(factor)
            optimizer.step()

    return alongside(model, whole, watched(model), step=step)


def fsdp2_failing_rank() -> Steps:
    """The last rank's own part of the work fails at the second step."""
    model, whole = models()
    sharded(model, world_mesh())
    broken = patch("producers.gradients.sharded.norms_of", side_effect=RuntimeError("the device is away"))

    def step(number: int, optimizer: torch.optim.Optimizer) -> None:
        with broken if number == 1 and is_last() else nullcontext():
            clip(model)(number, optimizer)

    return alongside(model, whole, watched(model), step=step)


def fsdp2_closed_on_one_rank() -> Steps:
    """The last rank's watch is closed after the first step, and the training goes on."""
    model, whole = models()
    sharded(model, world_mesh())
    watch = watched(model)

    def step(number: int, optimizer: torch.optim.Optimizer) -> None:
        if number == 1 and is_last():
            watch.close()
        clip(model)(number, optimizer)

    return alongside(model, whole, watch, step=step)


def fsdp2_watched_on_one_rank() -> Steps:
    """As somebody does who has only read about DDP."""
    model, whole = models()
    sharded(model, world_mesh())
    if is_publishing_rank():
        return alongside(model, whole, watched(model, timeout_seconds=SOON_SECONDS), step=clip(model))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, foreach=False)
    for batch in batches():
        optimizer.zero_grad()
        backward(model, share(batch))
        clip(model)(0, optimizer)
        for parameter in model.parameters():
            parameter.full_tensor()  # type: ignore[attr-defined]
    return []


def fsdp2_watched_too_late() -> Steps:
    """Rank 0 has given up when the others watch."""
    model, whole = models()
    sharded(model, world_mesh())
    if is_publishing_rank():
        watch = watched(model, timeout_seconds=0.0)
        distributed.barrier()
    else:
        distributed.barrier()
        watch = watched(model, timeout_seconds=SOON_SECONDS)
    return alongside(model, whole, watch, step=clip(model))


def fsdp1() -> Steps:
    """Beside a layer that is not wrapped."""
    torch.manual_seed(0)
    model = nn.Sequential(
        FullyShardedDataParallel(nn.Linear(WIDTH, WIDTH), device_id=torch.device("cpu")), nn.Linear(WIDTH, 1)
    )
    watch = watched(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, foreach=False)
    backward(model, next(batches()))
    optimizer.step()
    return [(watch.take(), GradientNorms(model[1].named_parameters("1")).measure())]


def tensor_parallel() -> Steps:
    model, whole = models(hidden=8)
    _parallelized(model, world_mesh())
    return alongside(model, whole, watched(model), data=lambda batch: batch)


def partial() -> Steps:
    """A norm in sequence parallelism, whose weights' gradients are partial sums, before a layer that is sharded."""
    torch.manual_seed(0)
    model, whole = (nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4)) for _ in range(2))
    whole.load_state_dict(model.state_dict())
    plan = {"0": SequenceParallel(sequence_dim=0), "1": ColwiseParallel(input_layouts=Shard(0))}
    parallelize_module(model, world_mesh(), plan)
    watch = watched(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, foreach=False)
    batch = next(batches())
    model(share(batch)).square().sum().backward()
    whole(batch).square().sum().backward()
    optimizer.step()
    return [(watch.take(), GradientNorms(whole[1].named_parameters("1")).measure())]


def hsdp() -> Steps:
    model, whole = models()
    half = distributed.get_world_size() // 2
    sharded(model, init_device_mesh("cpu", (2, half), mesh_dim_names=("replicate", "shard")))
    return alongside(model, whole, watched(model))


def fsdp2_over_tensor_parallel() -> Steps:
    model, whole = models(hidden=8)
    half = distributed.get_world_size() // 2
    mesh = init_device_mesh("cpu", (2, half), mesh_dim_names=("data", "tensor"))
    _parallelized(model, mesh["tensor"])
    sharded(model, mesh["data"])
    part = mesh["data"].get_local_rank()
    return alongside(model, whole, watched(model), data=lambda batch: batch.chunk(2)[part])


def any_of() -> Steps:
    assert any_rank(is_last())
    assert any_rank(True)
    assert not any_rank(False)
    assert is_publishing_rank() != is_last()
    return []


def _parallelized(model: Model, mesh: DeviceMesh) -> None:
    for block in model.blocks:
        parallelize_module(block, mesh, {"up_proj": ColwiseParallel(), "down_proj": RowwiseParallel()})


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())


def main(port: str, world: str, rank: str, *scenarios: str) -> None:
    store = distributed.TCPStore("127.0.0.1", int(port), is_master=False)  # type: ignore[attr-defined]
    distributed.init_process_group(
        "gloo", store=store, rank=int(rank), world_size=int(world), timeout=timedelta(seconds=60)
    )
    for scenario in scenarios:
        heard = _Heard()
        logging.getLogger("streakline").addHandler(heard)
        steps = globals()[scenario]()
        logging.getLogger("streakline").removeHandler(heard)
        print(msgspec.json.encode(Outcome(steps, heard.sentences)).decode(), flush=True)
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
