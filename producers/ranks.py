"""Which process of a distributed training publishes, and what one of them knows told to all. Does not import torch."""

import os
import sys
from types import ModuleType


def is_publishing_rank(rank: int | None = None) -> bool:
    """Whether this process is the one that publishes the run: rank 0.

    Where `rank` is not given it is torch.distributed's, or else, before that is initialised, what launchers leave in
    the environment: RANK (torchrun, accelerate, deepspeed), or NODE_RANK and LOCAL_RANK (Lightning's own, which starts
    the script again). A process without any of them is alone and publishes.
    """
    if rank is not None:
        return rank == 0
    distributed = _initialised()
    if distributed is not None:
        return bool(distributed.get_rank() == 0)
    names = ("RANK",) if "RANK" in os.environ else ("NODE_RANK", "LOCAL_RANK")
    try:
        # Some launchers say -1 for a process that is alone.
        return all(int(os.environ.get(name, "0")) <= 0 for name in names)
    except ValueError:
        return True


def any_rank(flag: bool) -> bool:
    """Whether `flag` is true on any rank: how all ranks stop at the same step when one of them is told to.

    A collective over all ranks: each has to call it, at the same point of its loop, or the others wait for it. It
    reduces one number and waits for it, on the GPU where the backend is NCCL: the price of logging the loss. Without
    torch.distributed it is `flag`, at no cost.
    """
    distributed = _initialised()
    if distributed is None:
        return flag
    devices = [pair.partition(":")[0] for pair in distributed.get_backend_config().split(",")]
    torch = sys.modules["torch"]
    raised = torch.tensor([float(flag)], device="cpu" if "cpu" in devices else devices[0])
    distributed.all_reduce(raised, distributed.ReduceOp.MAX)
    return bool(raised.item() > 0)


def _initialised() -> ModuleType | None:
    """torch.distributed, where somebody has initialised it."""
    distributed = sys.modules.get("torch.distributed")
    return (
        distributed if distributed is not None and distributed.is_available() and distributed.is_initialized() else None
    )
