"""Tables: CSV of any origin, a run's history exported from W&B, and the export of a W&B chart.

A chart's columns are called ``<run> - <name>``, each with two more, ``…__MIN`` and ``…__MAX``, beside one for the
x axis; one file holds all runs of the chart. Rows need not be complete: what belongs to one step may stand in many.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from msgspec import Struct

from producers.imports.names import is_loss, meaning, step_rank, time_rank
from producers.imports.numbers import number, step_number
from producers.imports.readings import LeftOut, OnRead, Reading, UnreadableRecording

MAX_LINE_CHARACTERS = 4 << 20
MAX_ROW_CHARACTERS = 8 << 20

_DELIMITERS = (",", "\t", ";")
_BETWEEN_RUN_AND_NAME = " - "
_BOUNDS = ("__MIN", "__MAX")
_EMPTY = {"", "null", "none", "n/a", "-"}


class RunColumns(Struct, frozen=True):
    """Where one run's numbers are in a row."""

    run: str
    step: int | None
    time: int | None
    values: tuple[tuple[int, str], ...]
    """index and name of each column that means something"""


class Table:
    """A `Source` of one or more runs."""

    kind = "a table"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.caveats: tuple[str, ...] = ()

    def readings(self, left_out: LeftOut, on_read: OnRead) -> Iterator[Reading]:
        """One reading for each run in each row that has a number of it."""
        with self._path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            lines = _Lines(file, on_read)
            header = next((line for line in lines if not line.isspace()), "")
            names = header_of(header)
            runs = columns_of(names)
            if any(columns.run for columns in runs):
                self.caveats = ("perhaps steps (a chart exported from W&B may be thinned out and averaged)",)
            if not any(columns.step is not None for columns in runs):
                raise UnreadableRecording(f"has no column of steps{_instead(names)}: name the one that holds them step")
            _note_unused(names, runs, left_out)
            yield from _readings(csv.reader(lines, delimiter=_delimiter(header)), lines, runs, left_out)


def header_of(line: str) -> Sequence[str]:
    """The names of the columns in a table's first line; none where it is no such line."""
    try:
        names = next(csv.reader([line], delimiter=_delimiter(line)), [])
    except csv.Error:
        return []
    return [name.strip() for name in names]


def is_table(head: bytes) -> bool:
    """Whether a file that begins with `head` is a table, from what its columns are called."""
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    names = header_of(text.splitlines()[0] if text else "")
    known = [name for _, name in map(_run_and_name, names) if step_rank(name) is not None or meaning(name) is not None]
    return len(names) > 1 and bool(known) and not text.startswith("{")


def columns_of(names: Sequence[str]) -> list[RunColumns]:
    """What the columns called `names` are, run by run.

    The step is in the column that has no run, which is the chart's x axis, where that is one of steps, else in the
    run's own; the time is in the run's own where it has one.

    >>> columns_of(["Step", "a - loss", "a - loss__MIN"])
    [RunColumns(run='a', step=0, time=None, values=((1, 'loss'),))]
    """
    steps: dict[str, tuple[int, int]] = {}
    times: dict[str, tuple[int, int]] = {}
    values: dict[str, dict[str, int]] = {}
    for index, name in enumerate(names):
        run, of = _run_and_name(name)
        if (rank := step_rank(of)) is not None:
            steps[run] = min(steps.get(run, (rank, index)), (rank, index))
        elif (rank := time_rank(of)) is not None:
            times[run] = min(times.get(run, (rank, index)), (rank, index))
        elif meaning(of) is not None and not of.endswith(_BOUNDS):
            values.setdefault(run, {}).setdefault(of, index)
    if len(values) > 1 and not any(is_loss(name) for name in values.get("", ())):
        # The chart's x axis, such as epoch: of no run.
        values.pop("", None)
    return [
        RunColumns(
            run,
            step=_column("", run, of=steps),
            time=_column(run, "", of=times),
            values=tuple((index, name) for name, index in its.items()),
        )
        for run, its in values.items()
    ]


def _column(*runs: str, of: Mapping[str, tuple[int, int]]) -> int | None:
    return next((of[run][1] for run in runs if run in of), None)


def _run_and_name(name: str) -> tuple[str, str]:
    run, _, of = name.rpartition(_BETWEEN_RUN_AND_NAME)
    return run, of


def _readings(
    rows: Iterator[list[str]], lines: "_Lines", runs: Sequence[RunColumns], left_out: LeftOut
) -> Iterator[Reading]:
    while True:
        lines.begin_row()
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise UnreadableRecording(f"is no table from line {lines.count} on ({error}): mend or remove it") from None
        if row is None:
            return
        for columns in runs:
            reading = _reading(row, columns, left_out)
            if reading is not None:
                yield reading


def _reading(row: Sequence[str], columns: RunColumns, left_out: LeftOut) -> Reading | None:
    values = {}
    for index, name in columns.values:
        cell = row[index].strip() if index < len(row) else ""
        if cell.lower() in _EMPTY:
            continue
        found = number(cell)
        if found is not None:
            values[name] = found
        else:
            # What a watched model's histograms are exported as.
            left_out.add("histogram" if cell.startswith("{") else "no_number")
    if not values:
        return None
    step = step_number(_cell(row, columns.step))
    if step is None:
        left_out.add("no_step")
        return None
    return Reading(step, values, ts=number(_cell(row, columns.time)), run=columns.run)


def _cell(row: Sequence[str], index: int | None) -> str:
    return row[index] if index is not None and index < len(row) else ""


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _instead(names: Sequence[str]) -> str:
    shown = [name for name in names if name][:6]
    return f" (its columns are {', '.join(shown)}{', …' if len(names) > len(shown) else ''})" if shown else ""


def _note_unused(names: Sequence[str], runs: Sequence[RunColumns], left_out: LeftOut) -> None:
    used = {index for columns in runs for index, _ in columns.values}
    for index, name in enumerate(names):
        if index not in used and not name.endswith(_BOUNDS):
            left_out.add_name(name)


class _Lines:
    """The lines of a file, none of which may be without end, nor a quoted cell over many of them."""

    def __init__(self, file: TextIO, on_read: OnRead) -> None:
        self._file = file
        self._on_read = on_read
        self._row_characters = 0
        self.count = 0

    def begin_row(self) -> None:
        self._row_characters = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_LINE_CHARACTERS)
        if not line:
            raise StopIteration
        self.count += 1
        self._row_characters += len(line)
        if len(line) == MAX_LINE_CHARACTERS or self._row_characters > MAX_ROW_CHARACTERS:
            raise UnreadableRecording(f"has a row without end in line {self.count}: mend or remove it")
        self._on_read(len(line))
        return line
