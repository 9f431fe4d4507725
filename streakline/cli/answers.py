"""What a query answered, written in the form that was asked for."""

import csv
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from streakline.cli.errors import CommandError, ExitCode
from streakline.cli.output import STDOUT, Output, cannot_write, note, open_output

if TYPE_CHECKING:
    import pyarrow as pa

    from workers.lake.session import Answer, Session

Format = Literal["table", "csv", "json", "jsonl", "parquet"]

_NARROWEST = 12
"""characters that a column of a table may be folded to"""
_SUFFIXES: dict[str, Format] = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".parquet": "parquet"}


def format_for(chosen: Format | None, output: Path) -> Format:
    """The one that is `chosen`, else what the name of `output` says. Raises `CommandError` for one that cannot be.

    >>> format_for(None, Path("a.csv")), format_for("json", Path("a.csv")), format_for(None, Path("-"))
    ('csv', 'json', 'table')
    """
    format_ = chosen or _SUFFIXES.get(output.suffix.lower(), "table")
    if format_ == "parquet" and output == STDOUT:
        raise CommandError("Parquet is nothing for a stream: name a file with -o", ExitCode.USAGE)
    return format_


def answer_query(session: "Session", sql: str, format_: Format, output: Path, max_rows: int) -> None:
    """Write the answer to `output`; of a table `max_rows` rows, 0 for all. Raises `QueryError`, `CommandError`."""
    if format_ == "parquet":
        _write_parquet(session.ask_arrow(sql), output)
        return
    # The question first: it has to be understood before a file is made anew.
    answer = session.ask(sql)
    with open_output(output) as lines:
        if format_ == "csv":
            _write_csv(answer, lines)
        elif format_ == "table":
            write_table(answer, lines, max_rows)
        else:
            _write_json(answer, lines, as_document=format_ == "json")


def write_table(answer: "Answer", output: Output, max_rows: int) -> None:
    """A table for people; how much of it was left out is told on stderr."""
    from streakline.cli.cells import cells
    from streakline.cli.table import write_rows

    rows = list(islice(answer.rows, max_rows + 1 if max_rows else None))
    shown = rows[:max_rows] if max_rows else rows
    names = [column.name for column in answer.columns]
    numbers = [column.name for column in answer.columns if column.is_number]
    texts = [cells(row) for row in shown]
    room = _room(names, texts) if output.is_terminal else len(names)
    write_rows(output, names[:room], (row[:room] for row in texts), numbers=numbers)
    if room < len(names):
        note(f"the first {room} columns of {len(names)}, for want of room: SELECT fewer, or --format jsonl")
    if len(shown) < len(rows):
        note(f"the first {max_rows:,} rows: --rows 0 shows all, -o FILE.csv (.json, .jsonl, .parquet) keeps them")


def _room(names: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How many columns fit beside each other; a few of the letters of each do."""
    widths = [min(_NARROWEST, max(map(len, column))) for column in zip(names, *rows, strict=True)]
    ends = accumulate(width + 2 for width in widths)
    return max(1, sum(end - 2 <= shutil.get_terminal_size().columns for end in ends))


def _write_csv(answer: "Answer", output: Output) -> None:
    from streakline.cli.cells import csv_cell

    def line(values: Iterable[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(values)
        return text.getvalue().encode()

    output.line(line([column.name for column in answer.columns]))
    for row in answer.rows:
        output.line(line(map(csv_cell, row)))


def _write_json(answer: "Answer", output: Output, *, as_document: bool) -> None:
    from streakline.cli.cells import json_of

    names = [column.name for column in answer.columns]
    objects = (json_of(dict(zip(names, row, strict=True))) for row in answer.rows)
    if not as_document:
        for each in objects:
            output.json_line(each)
        return
    separator = b"["
    for each in objects:
        output.json_line(separator + each)
        separator = b","
    output.line(b"]" if separator == b"," else b"[]")


def _write_parquet(tables: "Iterator[pa.Table]", output: Path) -> None:
    """The whole file or none."""
    import pyarrow.parquet as pq

    first = next(tables)
    half = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        with half.open("wb") as file, pq.ParquetWriter(file, first.schema, compression="zstd") as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)
        half.replace(output)
    except OSError as error:
        raise cannot_write(str(output), error) from None
    finally:
        half.unlink(missing_ok=True)
