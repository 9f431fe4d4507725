"""A lock that the kernel lets go of however its holder ends: what tells the living from the dead."""

import contextlib
import fcntl
import os
import threading
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
        with _forks.kept_away:
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


class _Forks:
    """A lock is held by every process that has the file open: a child that lives on would keep its dead parent's."""

    def __init__(self) -> None:
        self.kept_away = threading.Lock()
        """while a file is open that is not in `_held` yet: a child would not know that it has it"""
        self._keeping: set[int] = set()

    def before(self) -> None:
        # Not for long: a disk that hangs must not hang a trainer that starts its loaders.
        if self.kept_away.acquire(timeout=1.0):
            self._keeping.add(threading.get_ident())

    def after_in_parent(self) -> None:
        if (thread := threading.get_ident()) in self._keeping:
            self._keeping.discard(thread)
            self.kept_away.release()

    def after_in_child(self) -> None:
        # Of the threads that had it none is here.
        self.kept_away, self._keeping = threading.Lock(), set()
        for lock in list(_held):
            lock.release()


_held: WeakSet[Lock] = WeakSet()
_forks = _Forks()
os.register_at_fork(before=_forks.before, after_in_parent=_forks.after_in_parent, after_in_child=_forks.after_in_child)
