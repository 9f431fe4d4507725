"""The folder of one publisher's spool: whose it is, and whether its owner is still alive.

A file lock says the latter: the kernel lets go of it however the owner ends.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self
from weakref import WeakSet

import msgspec
from msgspec import Meta, Struct

from producers.events import RunId

_LOCK = "lock"
_OWNER = "owner.json"
# A name that begins with a dot is not looked at: the folder is not complete yet.
_UNFINISHED = "."

_TopicName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$(?!\n)")]


class Owner(Struct, frozen=True, kw_only=True):
    """Whose events a folder holds, and where they go."""

    run_id: RunId
    bootstrap: str
    """the broker they are for: they must not end on another"""
    steps: _TopicName
    runs: _TopicName
    version: Annotated[int, Meta(ge=1, le=1)] = 1
    """of the format of all files in the folder"""


class Folder:
    """One publisher's folder, locked by this process for as long as it is open."""

    def __init__(self, path: Path, owner: Owner, lock: int) -> None:
        self.path = path
        self.owner = owner
        self._lock = lock
        _open.add(self)

    @classmethod
    def create(cls, root: Path, owner: Owner) -> Self:
        """A new one under `root`, which is made where it is missing, for this user only. Raises OSError."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The order of the names is that of their making.
        name = f"{time.time_ns():019d}-{os.getpid()}-{secrets.token_hex(4)}"
        unfinished = root / f"{_UNFINISHED}{name}"
        unfinished.mkdir(mode=0o700)
        lock = os.open(unfinished / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (unfinished / _OWNER).write_bytes(msgspec.json.encode(owner))
            path = unfinished.rename(root / name)
        except BaseException:
            os.close(lock)
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        return cls(path, owner, lock)

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """The folder at `path` where its owner is dead; None where it lives, or another process was faster.

        Raises OSError, and ValueError for a folder that is not ours.
        """
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever was faster may have finished and removed it, before our lock on what is no longer there.
            owner = read_owner(path)
        except (BlockingIOError, FileNotFoundError):
            os.close(lock)
            return None
        except BaseException:
            os.close(lock)
            raise
        return cls(path, owner, lock)

    def remove(self) -> None:
        """Delete the folder with all that is in it, and let go of it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Let go of the folder; what is in it stays for whoever comes next."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            with contextlib.suppress(OSError):
                os.close(lock)


def read_owner(path: Path) -> Owner:
    """Whose folder `path` is. Raises OSError, and ValueError for a folder that is not ours."""
    file = path / _OWNER
    if file.exists() and not file.is_file():
        raise ValueError(f"{file} is no file")  # Reading a pipe would wait for ever.
    try:
        return msgspec.json.decode(file.read_bytes(), type=Owner)
    except msgspec.DecodeError as error:
        raise ValueError(f"{file} cannot be read: {error}") from None


def has_owner(path: Path) -> bool:
    """Whether the process that the folder at `path` belongs to is alive. Raises OSError."""
    lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def size_bytes(path: Path) -> int:
    """What the files of the folder at `path` take. Raises OSError."""
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file())


def folders(root: Path) -> Iterator[Path]:
    """Every publisher's folder under `root`, the oldest first; none where there is no such place."""
    with contextlib.suppress(OSError):
        yield from sorted(path for path in root.iterdir() if not path.name.startswith(_UNFINISHED) and path.is_dir())


_open: WeakSet[Folder] = WeakSet()


def _let_go() -> None:
    # A lock is held by every process that has the file open: a child that lives on would keep its dead parent's.
    for folder in list(_open):
        folder.close()


os.register_at_fork(after_in_child=_let_go)
