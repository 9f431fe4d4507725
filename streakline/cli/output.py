"""Where a command writes: results to stdout or a file, everything else to stderr."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from streakline.cli.errors import ClosedPipe, CommandError, bad_input
from streakline.cli.text import printable, printable_json

STDOUT = Path("-")


class Output:
    """Lines of bytes to a file, buffered. Raises `ClosedPipe` where nobody reads, `CommandError` where it is full."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        # A pipe or a file gets the very bytes; a terminal obeys some of them.
        self.is_terminal = file.isatty()

    def json_line(self, raw: bytes) -> None:
        """Write one line of JSON."""
        self.line(printable_json(raw) if self.is_terminal else raw)

    def line(self, raw: bytes) -> None:
        """Write one line."""
        self.write(raw + b"\n")

    def write(self, raw: bytes) -> None:
        """Write bytes as they are."""
        with self._failing_in_a_sentence():
            self._file.write(raw)

    def flush(self) -> None:
        """Let the reader have what was written."""
        with self._failing_in_a_sentence():
            self._file.flush()

    @contextlib.contextmanager
    def _failing_in_a_sentence(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise ClosedPipe from None
        except OSError as error:
            raise cannot_write(self._name, error) from None


def cannot_write(name: str, error: OSError) -> CommandError:
    """The sentence for a file that cannot be written."""
    return bad_input(f"cannot write {printable(name)} ({error.strerror}): make room, or choose another place")


@contextlib.contextmanager
def standard_output() -> Iterator[Output]:
    """Stdout, flushed at the end, whatever the end is."""
    output = Output(sys.stdout.buffer, "stdout")
    try:
        yield output
    finally:
        output.flush()


@contextlib.contextmanager
def open_output(path: Path) -> Iterator[Output]:
    """The file at `path`, made anew, or stdout where it is ``-``; flushed at the end, whatever the end is."""
    if path == STDOUT:
        with standard_output() as output:
            yield output
        return
    try:
        file = path.open("wb")
    except OSError as error:
        raise cannot_write(str(path), error) from None
    output = Output(file, str(path))
    try:
        yield output
    finally:
        try:
            output.flush()
        finally:
            # What a full disk did not take would be tried again here.
            with contextlib.suppress(OSError):
                file.close()


def say(sentence: str) -> None:
    """One line of a result for people, to stdout."""
    with standard_output() as output:
        output.line(sentence.encode(errors="backslashreplace"))


def note(sentence: str) -> None:
    """One line on stderr; nobody there to read it is no failure."""
    with contextlib.suppress(BrokenPipeError):
        print(sentence, file=sys.stderr, flush=True)  # noqa: T201


def drop_output() -> None:
    """Throw away what stdout still holds, so that the interpreter does not try to write it and fail aloud."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
