"""Hugging Face's ``trainer_state.json``: one object, whose ``log_history`` has a row for each log.

A row of training has ``loss``; those of evaluations and the summary at the end have not. Python writes
non-finite numbers into it as bare ``NaN`` and ``Infinity``, which its own parser reads.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from producers.imports.numbers import number, step_number
from producers.imports.readings import LeftOut, OnRead, Reading, UnreadableRecording

MAX_FILE_BYTES = 256 << 20
FILE_NAME = "trainer_state.json"

_HEAD_BYTES = 64 << 10
_SPACE = re.compile(r"[ \t\n\r]*")
_decoder = json.JSONDecoder()


class TrainerState:
    """A `Source` of one run. The file is held as text; its rows are parsed one by one."""

    kind = "a Hugging Face trainer_state.json"
    caveats = ("perhaps losses that are not finite (Trainer hides them unless logging_nan_inf_filter is False)",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def readings(self, left_out: LeftOut, on_read: OnRead) -> Iterator[Reading]:
        """The rows that have a loss."""
        text = self._text()
        for row in _rows(text):
            reading = _reading(row, left_out)
            if reading is not None:
                yield reading
        on_read(len(text))

    def _text(self) -> str:
        with self._path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise UnreadableRecording(
                f"is larger than {MAX_FILE_BYTES >> 20} MiB, which is no trainer_state.json that can be read: "
                "keep its log_history alone"
            )
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise _malformed("it is not UTF-8") from None


def is_trainer_state(head: bytes) -> bool:
    """Whether a file that begins with `head` is an object with a ``log_history``."""
    text = head[:_HEAD_BYTES].decode("utf-8-sig", errors="ignore")
    try:
        return _log_history(text) is not None
    except (ValueError, RecursionError):
        return False


def _reading(row: object, left_out: LeftOut) -> Reading | None:
    if not isinstance(row, dict) or "loss" not in row:
        left_out.add("no_loss")
        return None
    step = step_number(row.pop("step", None))
    if step is None:
        left_out.add("no_step")
        return None
    values = {}
    for name, value in row.items():
        found = number(value)
        if found is not None:
            values[name] = found
        elif name == "loss":
            left_out.add("no_number")
    return Reading(step, values)


def _rows(text: str) -> Iterator[object]:
    try:
        position = _log_history(text)
        if position is None:
            raise _malformed("it has no list log_history")
        position = _skip_space(text, position + 1)
        while not text.startswith("]", position):
            row, position = _decoder.raw_decode(text, position)
            yield row
            position = _after_comma(text, position, "]")
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} in line {error.lineno}") from None
    except RecursionError:
        raise _malformed("it is nested too deeply") from None
    except UnreadableRecording:
        raise
    except ValueError as error:
        # A number of thousands of digits.
        raise _malformed(str(error)) from None


def _log_history(text: str) -> int | None:
    """Where the list ``log_history`` of the object `text` opens, or None. Raises ValueError where it is no JSON."""
    position = _skip_space(text, 0)
    if not text.startswith("{", position):
        return None
    position = _skip_space(text, position + 1)
    while not text.startswith("}", position):
        key, position = _decoder.raw_decode(text, position)
        position = _skip_space(text, position)
        if not text.startswith(":", position):
            raise json.JSONDecodeError("Expecting ':' delimiter", text, position)
        position = _skip_space(text, position + 1)
        if key == "log_history":
            return position if text.startswith("[", position) else None
        _, position = _decoder.raw_decode(text, position)
        position = _after_comma(text, position, "}")
    return None


def _after_comma(text: str, position: int, end: str) -> int:
    """Where the next item begins, or where `end` stands."""
    position = _skip_space(text, position)
    if text.startswith(",", position):
        return _skip_space(text, position + 1)
    if text.startswith(end, position):
        return position
    raise json.JSONDecodeError("Expecting ',' delimiter", text, position)


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return position if found is None else found.end()


def _malformed(what: str) -> UnreadableRecording:
    return UnreadableRecording(f"is no whole trainer_state.json ({what}): take that of an earlier checkpoint")
