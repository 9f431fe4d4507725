"""One publisher's events in files: appended at one end, read back and acknowledged at the other, in order."""

import contextlib
import errno
import os
import shutil
import struct
import zlib
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from producers.spool.folder import Folder
from producers.spool.record import Record, pack, unpack

SEGMENT_BYTES = 1 << 20
"""at which a new file is begun: what has arrived is deleted by the file, what is to be sent is read by the file"""

_SUFFIX = ".events"
_ACKNOWLEDGED = "acknowledged"
_POSITION = struct.Struct("<QQ")
_CHECKSUM = struct.Struct("<I")


class Position(NamedTuple):
    """A place between two records."""

    segment: int
    offset_bytes: int


class Spooled(Struct, frozen=True, gc=False):
    """A record, and the place behind it."""

    record: Record
    end: Position


class SpoolFull(OSError):
    """There is no room for another event."""


class Spool:
    """The events in `folder` that have not arrived yet, of at most `max_bytes` together.

    What was written is never changed: a crash costs at most the records whose writing it interrupted. Every method
    may raise OSError, and leaves everything as it was then. Not for two threads at once.

    Raises ValueError where something in the folder is no file.
    """

    def __init__(self, folder: Folder, *, max_bytes: int, min_free_bytes: int = 0) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        _check_files(folder.path)
        # Segment → bytes in it that are records; in the order of their numbers.
        self._sizes = {number: self._path(number).stat().st_size for number in _segments(folder.path)}
        self._file: int | None = None
        self._mark: int | None = None
        self._acknowledged = self._after(_read_position(folder.path / _ACKNOWLEDGED))
        self._cursor = self._acknowledged
        self._ahead: deque[Spooled] = deque()

    @property
    def size_bytes(self) -> int:
        """What its files take."""
        return sum(self._sizes.values())

    @property
    def is_drained(self) -> bool:
        """Whether everything in it has arrived, as far as can be seen without reading what a dead process left."""
        return self._after(self._acknowledged) >= self._end

    def append(self, records: Sequence[Record]) -> None:
        """Write `records` in one piece: all of them, or, where an OSError says why, none."""
        packed = [pack(record) for record in records]
        length = sum(map(len, packed))
        if self.size_bytes + length > self._max_bytes:
            raise SpoolFull(errno.ENOSPC, f"the spool holds the {self._max_bytes:,} bytes it may")
        is_read = self._is_read
        if self._file is None or self._end.offset_bytes >= SEGMENT_BYTES:
            self._begin_segment()
        number, offset = self._end
        self._write(b"".join(packed), number, offset)
        self._sizes[number] = offset + length
        if is_read:
            # Whoever has read everything before need not read these back.
            for record, each in zip(records, packed, strict=True):
                offset += len(each)
                self._ahead.append(Spooled(record, Position(number, offset)))
            self._cursor = self._end

    def read(self) -> Spooled | None:
        """The next record, or None where there is no other yet."""
        while not self._ahead and (cursor := self._after(self._cursor)) < self._end:
            self._read_segment(cursor)
        return self._ahead.popleft() if self._ahead else None

    def acknowledge(self, end: Position) -> None:
        """Everything before `end` has arrived; files that are of no more use are deleted."""
        self._acknowledged = end
        if self._mark is None:
            self._mark = os.open(self.folder.path / _ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT, 0o600)
        packed = _POSITION.pack(*end)
        os.pwrite(self._mark, packed + _CHECKSUM.pack(zlib.crc32(packed)), 0)
        for number in [number for number in self._sizes if number < end.segment]:
            self._path(number).unlink(missing_ok=True)
            del self._sizes[number]

    def close(self) -> None:
        """Let go of the folder, and delete it where everything in it has arrived."""
        self._close_file()
        if self._mark is not None:
            os.close(self._mark)
            self._mark = None
        if self.is_drained:
            self.folder.remove()
        else:
            self.folder.close()

    @property
    def _end(self) -> Position:
        number = max(self._sizes, default=0)
        return Position(number, self._sizes.get(number, 0))

    @property
    def _is_read(self) -> bool:
        return not self._ahead and self._after(self._cursor) >= self._end

    def _after(self, position: Position) -> Position:
        """`position`, or where the next segment that holds records begins: the same place by its other name."""
        if position.offset_bytes < self._sizes.get(position.segment, 0):
            return position
        later = (number for number, size in self._sizes.items() if number > position.segment and size)
        return next((Position(number, 0) for number in later), max(position, self._end))

    def _begin_segment(self) -> None:
        if self._min_free_bytes and (free := shutil.disk_usage(self.folder.path).free) < self._min_free_bytes:
            raise SpoolFull(
                errno.ENOSPC, f"the disk has {free:,} bytes free, and {self._min_free_bytes:,} are not ours"
            )
        self._close_file()
        number = self._end.segment + 1
        self._file = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._sizes[number] = 0

    def _write(self, packed: bytes, number: int, offset: int) -> None:
        assert self._file is not None  # noqa: S101  # a segment was begun
        try:
            if os.write(self._file, packed) != len(packed):
                raise SpoolFull(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, offset)
            # Where the cut failed, what is torn ends this file.
            self._close_file()
            if not offset:
                # A disk that is full for long would collect one empty file an event.
                with contextlib.suppress(OSError):
                    self._path(number).unlink()
                    del self._sizes[number]
            raise

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _read_segment(self, start: Position) -> None:
        """Read from `start` to the end of its segment."""
        number, offset = start
        with self._path(number).open("rb") as file:
            file.seek(offset)
            buffer = file.read(self._sizes[number] - offset)
        end = offset
        for record, length in unpack(buffer):
            end = offset + length
            self._ahead.append(Spooled(record, Position(number, end)))
        if end < self._sizes[number]:
            # A torn record at the end is none: nobody waits for it, and nothing is written behind it.
            self._sizes[number] = end
            self._close_file()
        self._cursor = Position(number, end)

    def _path(self, number: int) -> Path:
        return self.folder.path / f"{number:012d}{_SUFFIX}"


def _check_files(folder: Path) -> None:
    # Reading a pipe would wait for ever, and a link may lead anywhere.
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False):
                raise ValueError(f"{entry.path} is no file")


def _segments(folder: Path) -> list[int]:
    names = (path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}"))
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal() and len(name) == 12)


def _read_position(path: Path) -> Position:
    """What was acknowledged; the beginning where that cannot be known."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Position(0, 0)
    packed = raw[: _POSITION.size]
    if raw[_POSITION.size :] != _CHECKSUM.pack(zlib.crc32(packed)) or len(packed) != _POSITION.size:
        return Position(0, 0)
    return Position(*_POSITION.unpack(packed))
