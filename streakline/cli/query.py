"""`streakline query`: the lake asked in SQL."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streakline.cli.answers import Format, answer_query, format_for
from streakline.cli.errors import CommandError, ExitCode, bad_input, not_installed
from streakline.cli.options import Lake, settings_of
from streakline.cli.output import STDOUT

if TYPE_CHECKING:
    from workers.lake.session import Session

MaxRows = Annotated[int, typer.Option("--rows", help="rows of a table that are shown, 0 for all", min=0)]


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="in DuckDB's dialect; - is stdin", show_default=False)],
    *,
    lake: Lake = None,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            envvar="STREAKLINE_QUERY_FORMAT",
            metavar="FORMAT",
            help="table, csv, json, jsonl or parquet; by default what FILE's name says",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="- is stdout")] = STDOUT,
    rows: MaxRows = 100,
) -> None:
    """Ask the lake in SQL: every table is there as a view, with each diff and each archived event once.

    Nothing is written but FILE, and nothing is read but the lake. Times are in UTC.
    """
    chosen = format_for(format_, output)
    text = sys.stdin.read() if sql == "-" else sql
    with open_session(lake) as session:
        answer_query(session, text, chosen, output, rows)


@contextlib.contextmanager
def open_session(lake: str | None) -> Iterator["Session"]:
    """A session with the lake; what goes wrong in the block is told in a sentence. Raises `CommandError`."""
    from streakline.extras import missing_for_queries

    if (missing := missing_for_queries()) is not None:
        raise not_installed("a query", missing, "workers")
    from workers.lake.session import Session
    from workers.lake.statements import QueryError
    from workers.settings import DiffSettings
    from workers.uris import said, shown

    root = settings_of(DiffSettings, lake=lake).lake
    try:
        session = Session(root)
    except QueryError as error:
        raise bad_input(str(error)) from None
    except ValueError as error:
        raise CommandError(f"the lake cannot be asked: {error}", ExitCode.USAGE) from None
    except OSError as error:
        raise bad_input(
            f"the lake {shown(root)} cannot be read ({said(error, root)}): see to its disk, then run it again"
        ) from None
    with session:
        try:
            yield session
        except QueryError as error:
            raise bad_input(str(error)) from None
