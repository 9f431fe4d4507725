"""The folder of one publisher's spool: whose it is, and whether its owner is still alive."""

import contextlib
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

import msgspec
from msgspec import Meta, Struct

from producers.events import RunId
from producers.spool.lock import Lock

_LOCK = "lock"
_OWNER = "owner.json"
_MAX_OWNER_BYTES = 16_384
# A name that begins with a dot is not looked at: the folder is not complete yet.
_UNFINISHED = "."
_HEIR = ".heir"
_SWEPT_AFTER_SECONDS = 3_600.0

VERSION = 1

_TopicName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$(?!\n)")]


class Owner(Struct, frozen=True, kw_only=True):
    """Whose events a folder holds, and where they go."""

    run_id: RunId
    bootstrap: Annotated[str, Meta(max_length=4096)]
    """the broker they are for: they must not end on another"""
    steps: _TopicName
    runs: _TopicName
    version: Annotated[int, Meta(ge=1, le=VERSION)] = VERSION
    """of the format of all files in the folder"""


class _Version(Struct):
    version: int = 1


class Folder:
    """One publisher's folder, locked by this process for as long as it is open."""

    def __init__(self, path: Path, owner: Owner, lock: Lock) -> None:
        self.path = path
        self.owner = owner
        self._lock = lock

    @classmethod
    def create(cls, root: Path, owner: Owner) -> Self:
        """A new one under `root`, which is made where it is missing, for this user only. Raises OSError."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # In the order of their making, and those of one run found without opening all.
        name = f"{time.time_ns():019d}-{_mark_of(owner.run_id)}-{os.getpid()}-{secrets.token_hex(4)}"
        unfinished = root / f"{_UNFINISHED}{name}"
        unfinished.mkdir(mode=0o700)
        lock = None
        try:
            lock = Lock.take(unfinished / _LOCK, make=True)
            assert lock is not None  # noqa: S101  # nobody else knows the name
            (unfinished / _OWNER).write_bytes(msgspec.json.encode(owner))
            path = unfinished.rename(root / name)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            if lock is not None:
                lock.release()
            raise
        return cls(path, owner, lock)

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """The folder at `path` where its owner is dead; None where it lives, or another process was faster.

        Raises OSError, and ValueError for a folder that is not ours.
        """
        lock = Lock.take(path / _LOCK)
        if lock is None:
            return None
        try:
            return cls(path, read_owner(path), lock)
        except FileNotFoundError:
            # Whoever was faster has removed it, before we locked what is no longer there.
            lock.release()
            return None
        except BaseException:
            lock.release()
            raise

    def remove(self) -> None:
        """Delete the folder with all that is in it, and let go of it."""
        # At once for all others: of a part of it, one would not know what has arrived.
        with contextlib.suppress(OSError):
            self.path = self.path.rename(self.path.parent / f"{_UNFINISHED}{self.path.name}")
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Let go of the folder; what is in it stays for whoever comes next."""
        self._lock.release()


def read_owner(path: Path) -> Owner:
    """Whose folder `path` is. Raises OSError, and ValueError for a folder that is not ours."""
    file = path / _OWNER
    status = file.stat()
    # Reading a pipe would wait for ever.
    if not file.is_file() or status.st_size > _MAX_OWNER_BYTES:
        raise ValueError(f"{file} is not of a publisher")
    try:
        raw = file.read_bytes()
        if (version := msgspec.json.decode(raw, type=_Version).version) > VERSION:
            raise ValueError(
                f"of version {version}, this release reads {VERSION} at most; `streakline spool flush` of the release "
                "that wrote it delivers it"
            )
        return msgspec.json.decode(raw, type=Owner)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from None


def has_owner(path: Path) -> bool:
    """Whether the process that the folder at `path` belongs to is alive. Raises OSError."""
    lock = Lock.take(path / _LOCK)
    if lock is None:
        return True
    lock.release()
    return False


def size_bytes(path: Path) -> int:
    """What the files of the folder at `path` take. Raises OSError."""
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file())


def folders(root: Path, run_id: str | None = None) -> Iterator[Path]:
    """Every publisher's folder under `root`, or those that may be of the run, the oldest first.

    None where there is no such place.
    """
    mark = None if run_id is None else _mark_of(run_id)
    try:
        names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in names:
        if not name.startswith(_UNFINISHED) and (mark is None or mark in name.split("-")):
            yield root / name


def lock_of_the_heir(root: Path) -> Lock | None:
    """What one process of a machine holds while it delivers what others left; None where another does already.

    Without it, every publisher of a large fleet would open every folder. Raises OSError.
    """
    return Lock.take(root / _HEIR, make=True)


def sweep(root: Path) -> None:
    """Delete folders that nobody finished making, or removing: there is no event in them that has not arrived.

    For the heir. Raises OSError.
    """
    with os.scandir(root) as entries:
        unfinished = [
            each for each in entries if each.name.startswith(_UNFINISHED) and each.is_dir(follow_symlinks=False)
        ]
    for entry in unfinished:
        if time.time() - entry.stat(follow_symlinks=False).st_mtime > _SWEPT_AFTER_SECONDS:
            shutil.rmtree(entry.path, ignore_errors=True)


def _mark_of(run_id: str) -> str:
    return f"r{zlib.crc32(run_id.encode()):08x}"
