"""Turns of those who read a file of the lake, change what it says and write it anew.

The kernel keeps them apart: a writer that was paused in its turn still has it when it goes on, and one that died has
let go of it. Tokens and clocks cannot do that, for a file system takes what comes late as well.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

from producers.spool.lock import Lock
from workers.errors import TransientDiffError

_WAIT_SECONDS = 2.0
_POLL_SECONDS = 0.01


@contextlib.contextmanager
def turn(folder: Path, name: str) -> Iterator[None]:
    """Nobody else has a turn at `name` while the block runs. The locks are hidden files in `folder`, 256 at most.

    Raises `TransientDiffError` where another writer does not end its turn, OSError where the disk fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".{hashlib.sha256(name.encode()).hexdigest()[:2]}.lock"
    lock = _taken(path)
    try:
        yield
    finally:
        lock.release()


def _taken(path: Path) -> Lock:
    deadline = time.monotonic() + _WAIT_SECONDS
    while (lock := Lock.take(path, make=True)) is None:
        if time.monotonic() >= deadline:
            raise TransientDiffError(
                "unavailable",
                f"another process has {path} locked and does not let go of it: wait until it goes on, or end it.",
            )
        time.sleep(_POLL_SECONDS)
    return lock
