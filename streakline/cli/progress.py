"""Progress on stderr, where somebody looks."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Literal

from workers.progress import Progress as DiffProgress
from workers.progress import silent

Advance = Callable[[int], None]

_REFRESH_SECONDS = 0.1


@contextlib.contextmanager
def progress(
    description: str, *, total: int | None, unit: Literal["bytes", "records"], beside_output: bool = False
) -> Iterator[Advance]:
    """A bar for as long as the block runs; the function it gives takes what was done since the last call.

    `total` is None where it is not known. Nothing is shown where stderr is no terminal or, with `beside_output`
    (results are written meanwhile), where stdout is one.
    """
    if not sys.stderr.isatty() or (beside_output and sys.stdout.isatty()):
        yield lambda _amount: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    amount_column = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    time_column = TimeElapsedColumn() if total is None else TimeRemainingColumn()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), amount_column, time_column)
    bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    with bar:
        task = bar.add_task(description, total=total)
        yield _throttled(lambda amount: bar.advance(task, amount))


@contextlib.contextmanager
def diff_progress() -> Iterator[DiffProgress]:
    """A bar with the stage of a diff and the time that is left, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<11}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("reading", total=1.0)
        yield lambda stage, done: bar.update(task, description=stage, completed=done)


def _throttled(advance: Advance) -> Advance:
    """`advance` at most ten times a second: it costs more than what it counts."""
    pending = 0
    due = time.monotonic() + _REFRESH_SECONDS

    def add(amount: int) -> None:
        nonlocal pending, due
        pending += amount
        now = time.monotonic()
        if now >= due:
            advance(pending)
            pending, due = 0, now + _REFRESH_SECONDS

    return add
