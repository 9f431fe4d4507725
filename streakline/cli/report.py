"""`streakline report`: one run on a page that needs nothing else."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streakline.cli.errors import not_installed
from streakline.cli.options import Lake
from streakline.cli.output import STDOUT

if TYPE_CHECKING:
    from streakline.report.content import Report


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a run id", show_default=False)],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="by default RUN.html in this folder, made safe; - is stdout"
        ),
    ] = None,
    project: Annotated[str | None, typer.Option(help="the project of it, where several have such a run")] = None,
    lake: Lake = None,
    json: Annotated[bool, typer.Option("--json", help="one JSON document, for a script to read")] = False,
) -> None:
    """Write what the lake has of a run as one HTML file, to be read without a server or a network.

    Its steps and signals are there once `streakline archive` has written them, its model diff once a diff worker or
    `streakline diff` has. FILE is replaced where it is there; whoever reads it meanwhile sees the old one.
    """
    from streakline.cli.query import open_session
    from streakline.extras import missing_for_report

    if (missing := missing_for_report()) is not None:
        raise not_installed("a report", missing, "dashboard")
    from streakline.report.reading import read_report

    # Commands on the page find the lake as this one did, unless it was told.
    told = lake if lake != os.environ.get("STREAKLINE_LAKE") else None
    with open_session(lake) as session:
        found = read_report(session, run, project=project, lake=told)
    if json:
        _write_json(found, output or STDOUT)
    else:
        _write_page(found, output or default_file(run))


def default_file(run_id: str) -> Path:
    """Of a run's report, in the working folder: different for different runs.

    >>> default_file("team/sft:7").name, default_file("..").name
    ('team%2Fsft%3A7.html', '%2E..html')
    """
    from workers.lake.paths import encoded

    return Path(f"{encoded(run_id)}.html")


def _write_json(found: "Report", output: Path) -> None:
    import msgspec

    from streakline.cli.output import open_output

    with open_output(output) as lines:
        lines.json_line(msgspec.json.encode(found))


def _write_page(found: "Report", output: Path) -> None:
    from streakline.cli.output import cannot_write, open_output, say
    from streakline.cli.text import printable
    from streakline.report.page import render
    from workers.lake.durable import replace

    page = render(found).encode()
    if output == STDOUT:
        with open_output(output) as lines:
            lines.line(page)
        return
    try:
        replace(output, page)
    except OSError as error:
        raise cannot_write(str(output), error) from None
    say(printable(found.verdict))
    say(printable(f"{output}, {len(page) / 1024:,.0f} KiB"))
