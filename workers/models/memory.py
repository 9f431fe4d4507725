"""A device without free memory is worth another try."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from workers.errors import TransientDiffError

# torch has no type of its own for main memory.
ALLOCATOR_WORDS = ("DefaultCPUAllocator", "not enough memory", "can't allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the machine had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in ALLOCATOR_WORDS)


@contextmanager
def transient_out_of_memory(doing: str) -> Iterator[None]:
    """Raise TransientDiffError where what runs inside finds no memory; `doing` completes "ran out of memory …"."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise TransientDiffError(
            "out_of_memory",
            f"The device ran out of memory {doing}. Free some of it, or lower STREAKLINE_TOKENS_PER_BATCH "
            "or the precision in STREAKLINE_DTYPE.",
        ) from error
