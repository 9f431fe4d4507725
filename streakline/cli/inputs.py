"""What `detect` and `replay` read: JSON lines, and recordings that other tools made, as if those were JSON lines."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from producers.codec import MAX_EVENT_BYTES, encode
from producers.imports.readings import UnreadableRecording
from producers.imports.recording import Recording, open_recording
from streakline.cli.errors import CommandError, bad_input
from streakline.cli.lines import STDIN, Line, OnRead, Problems, cannot_read, check_files, read_lines, size_of
from streakline.cli.output import note
from streakline.cli.text import printable

Input = Path | Recording
"""a file of JSON lines, or something else"""


def open_inputs(files: Sequence[Path], problems: Problems) -> list[Input]:
    """Tell the format of each of `files`, and on stderr what was found in those that are no JSON lines.

    Stdin and pipes are JSON lines. Raises `CommandError` where one cannot be read; nothing is told then.
    """
    inputs = [_open(file) for file in files]
    check_files([each for each in inputs if isinstance(each, Path)])
    for each in inputs:
        if isinstance(each, Recording):
            _tell(each, problems)
    return inputs


def size_of_inputs(inputs: Sequence[Input]) -> int | None:
    """Bytes in `inputs` together; None where one of them is a pipe or the like."""
    lines = size_of([each for each in inputs if isinstance(each, Path)])
    return None if lines is None else lines + sum(each.size_bytes for each in inputs if isinstance(each, Recording))


def recordings(inputs: Sequence[Input]) -> list[Recording]:
    """Those that are no JSON lines."""
    return [each for each in inputs if isinstance(each, Recording)]


def read_inputs(
    inputs: Sequence[Input],
    *,
    on_read: OnRead = lambda _bytes: None,
    on_note: Callable[[str], None] = lambda _sentence: None,
    max_bytes: int = MAX_EVENT_BYTES,
) -> Iterator[Line]:
    """The lines of `inputs`, as `read_lines` gives them; those of a recording hold an event each, and count events.

    `on_note` is told what came to light on the way.
    """
    for each in inputs:
        if isinstance(each, Path):
            yield from read_lines([each], on_read=on_read, max_bytes=max_bytes)
        else:
            yield from _lines_of(each, on_read, on_note)


def _lines_of(recording: Recording, on_read: OnRead, on_note: Callable[[str], None]) -> Iterator[Line]:
    name = str(recording.path)

    def on_end(dropped: str) -> None:
        on_note(f"{printable(name)}: left out: {dropped}")

    try:
        for number, event in enumerate(recording.events(on_read=on_read, on_end=on_end), 1):
            raw = encode(event)
            yield Line(name, number, raw[:MAX_EVENT_BYTES], len(raw))
    except OSError as error:
        raise cannot_read(recording.path, error) from None
    except UnreadableRecording as error:
        raise _unreadable(recording.path, error) from None


def _open(file: Path) -> Input:
    if file == STDIN:
        return file
    try:
        return open_recording(file) or file
    except OSError as error:
        raise cannot_read(file, error) from None
    except UnreadableRecording as error:
        raise _unreadable(file, error) from None


def _tell(recording: Recording, problems: Problems) -> None:
    name = printable(str(recording.path))
    note(f"{name}: {printable(recording.found)}")
    if recording.missing:
        note(f"{name}: missing: {printable(recording.missing)}")
    if recording.left_out:
        note(f"{name}: left out: {printable(recording.left_out)}")
    if recording.is_partial:
        problems.partial_files += 1


def _unreadable(file: Path, error: UnreadableRecording) -> CommandError:
    return bad_input(f"{printable(str(file))} {printable(str(error))}")
