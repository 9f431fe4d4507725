"""Recorded events: files of JSON lines, read in bounded memory whatever is in them."""

import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import cast

from msgspec import Struct

from producers.codec import MAX_EVENT_BYTES, MalformedEvent, decode
from producers.events import TrainerEvent
from streakline.cli.errors import CommandError, bad_input
from streakline.cli.output import note
from streakline.cli.text import printable

STDIN = Path("-")

_READ_BYTES = 128 << 10
_SHOWN_PROBLEMS = 20

OnRead = Callable[[int], None]


class Line(Struct, frozen=True, gc=False):
    """One line that is not blank, without its line end."""

    file: str
    number: int
    raw: bytes
    """cut at the limit it was read with"""
    size_bytes: int
    """of the whole line"""

    @property
    def is_cut(self) -> bool:
        """Whether the line was longer than the limit."""
        return self.size_bytes > len(self.raw)


class Problems:
    """Lines that were skipped: the first twenty are shown as they are met, all are counted."""

    def __init__(self) -> None:
        self.lines = 0
        """all that were read"""
        self.skipped = 0
        self.partial_files = 0
        """recordings of other tools of which something was not read; each has been told of"""

    def add(self, line: Line, reason: str) -> None:
        """Tell of one line."""
        self.skipped += 1
        if self.skipped <= _SHOWN_PROBLEMS:
            note(f"{printable(line.file)}:{line.number}: {printable(reason)}")

    def raise_if_any(self) -> None:
        """End with one sentence where a line was skipped, or a part of a recording."""
        if self.skipped:
            shown = "above" if self.skipped <= _SHOWN_PROBLEMS else f"the first {_SHOWN_PROBLEMS} are above"
            raise bad_input(
                f"skipped {self.skipped:,} of {self.lines:,} lines, which hold no event ({shown}): "
                "`streakline schema` says what an event is; all other lines were processed"
            )
        if self.partial_files:
            raise bad_input(
                f"{self.partial_files:,} of the recordings hold what cannot be read (above): "
                "everything else in them was processed"
            )


def check_files(files: Sequence[Path]) -> None:
    """Raise `CommandError` where one of `files` is not there to be read; ``-`` always is."""
    for file in files:
        if file == STDIN:
            continue
        try:
            is_folder = stat.S_ISDIR(file.stat().st_mode)
        except OSError as error:
            raise cannot_read(file, error) from None
        if is_folder:
            raise bad_input(f"{printable(str(file))} is a folder: name the files in it")
        if not os.access(file, os.R_OK):
            raise bad_input(f"cannot read {printable(str(file))}: you have no permission to")


def size_of(files: Sequence[Path]) -> int | None:
    """Bytes in `files` together; None where one of them is a pipe or the like."""
    total = 0
    for file in files:
        status = None if file == STDIN else file.stat()
        if status is None or not stat.S_ISREG(status.st_mode):
            return None
        total += status.st_size
    return total


def read_lines(
    files: Sequence[Path], *, on_read: OnRead = lambda _bytes: None, max_bytes: int = MAX_EVENT_BYTES
) -> Iterator[Line]:
    """The lines of `files`, one after the other; blank ones are left out, though counted.

    `on_read` is told the bytes of each read when its lines have been taken, before the next, which may block.
    """
    for path in files:
        name = "<stdin>" if path == STDIN else str(path)
        try:
            if path == STDIN:
                yield from _lines_of(_stdin(), name, on_read, max_bytes)
            else:
                with path.open("rb") as file:
                    yield from _lines_of(file, name, on_read, max_bytes)
        except OSError as error:
            raise cannot_read(path, error) from None


def decode_line(line: Line) -> TrainerEvent:
    """The event on `line`. Raises `MalformedEvent`."""
    if line.is_cut:
        raise too_large(line)
    return decode(line.raw)


def too_large(line: Line) -> MalformedEvent:
    """What is wrong with a line that was cut."""
    return MalformedEvent("too_large", f"{line.size_bytes:,} bytes; at most {len(line.raw):,} are read")


def _lines_of(file: BufferedReader, name: str, on_read: OnRead, max_bytes: int) -> Iterator[Line]:
    number = 0
    # The line that the reads so far have begun and not ended: as much of it as may be kept, and its true size.
    begun = bytearray()
    begun_bytes = 0
    while chunk := file.read1(_READ_BYTES):
        *parts, rest = chunk.split(b"\n")
        for part in parts:
            number += 1
            raw, size_bytes = part[:max_bytes], len(part)
            if begun_bytes:
                raw = bytes(begun + part[: max_bytes - len(begun)])
                size_bytes += begun_bytes
                begun.clear()
                begun_bytes = 0
            if raw and not raw.isspace():
                yield Line(name, number, raw, size_bytes)
        begun += rest[: max_bytes - len(begun)]
        begun_bytes += len(rest)
        on_read(len(chunk))
    if begun and not begun.isspace():
        yield Line(name, number + 1, bytes(begun), begun_bytes)


def _stdin() -> BufferedReader:
    # Typed as any binary file, which has no read1: what is there, without waiting for more.
    return cast("BufferedReader", sys.stdin.buffer)


def cannot_read(file: Path, error: OSError) -> CommandError:
    """The sentence for a file that cannot be read."""
    return bad_input(f"cannot read {printable(str(file))}: {error.strerror or error}")
