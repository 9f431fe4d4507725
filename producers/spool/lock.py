"""A lock that the kernel lets go of however its holder ends: what tells the living from the dead."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Self
from weakref import WeakSet


class Lock:
    """A file that this process alone has locked."""

    def __init__(self, file: int) -> None:
        self._file: int | None = file
        _held.add(self)

    @classmethod
    def take(cls, path: Path, *, make: bool = False) -> Self | None:
        """The lock on the file at `path`, or None where another holds it. Raises OSError where there is no such file,
        unless it is to `make` it.
        """
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if make else 0), 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        return cls(file)

    def release(self) -> None:
        """Let go of it; harmless the second time."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)


_held: WeakSet[Lock] = WeakSet()


def _release_all() -> None:
    # A lock is held by every process that has the file open: a child that lives on would keep its dead parent's.
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_release_all)
