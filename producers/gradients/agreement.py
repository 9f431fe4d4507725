"""One question to all ranks that is answered yes only where every one of them has asked it, and the same on all."""

import time
from typing import Protocol

SECONDS_BETWEEN_LOOKS = 0.02
_YES, _NO = "yes", "no"


class Store(Protocol):
    """What is needed of a process group's store (torch.distributed.Store): both are atomic."""

    def add(self, key: str, amount: int, /) -> int:
        """Add to the number at `key`, 0 at first, and return it."""

    def compare_set(self, key: str, expected: str, desired: str, /) -> bytes:
        """Set `key` where it holds `expected`, and return what it holds; "" is expected of what was never set."""


def all_ask(store: Store, question: str, ranks: int, *, timeout_seconds: float) -> bool:
    """Whether all of `ranks` processes ask `question`, waiting for the last at most so long; each asks it once.

    No collective: a rank that does not ask is not waited for any longer than that, and does not notice. Whoever asks
    too late gets the answer that the others have had.
    """
    deadline = time.monotonic() + timeout_seconds
    asking = store.add(f"{question}/asking", 1)
    while asking < ranks and time.monotonic() < deadline:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        asking = store.add(f"{question}/asking", 0)
    # The first answer is everyone's: the last may ask at the very moment at which another gives up.
    answer = store.compare_set(f"{question}/answer", "", _YES if asking >= ranks else _NO)
    return answer.decode() == _YES
