"""What the demo shows: progress while the runs go on, signals as they fire, and tables at the end."""

import time
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from producers.events import Severity, Signal
from streakline.cli.text import printable
from streakline.demo.cast import Part
from streakline.demo.paging import Telling
from streakline.demo.watch import RunProgress

COLOURS: dict[Severity, str] = {"info": "cyan", "warning": "yellow", "critical": "red"}
PLAIN_PROGRESS_SECONDS = 5.0


class Stage:
    """Bars on a terminal; elsewhere a line now and then."""

    def __init__(self, console: Console, parts: Iterable[Part]) -> None:
        self.console = console
        self._parts = list(parts)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:>4}/{task.total}"),
            TextColumn("loss {task.fields[loss]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {
            part.run_id: self._bars.add_task(part.run_id, total=part.steps, loss="-") for part in self._parts
        }
        self._due = time.monotonic() + PLAIN_PROGRESS_SECONDS

    def __enter__(self) -> "Stage":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def tell(self, signal: Signal) -> None:
        """One line for a signal that just fired."""
        line = Text.assemble(
            (f"{signal.severity:<8} ", COLOURS[signal.severity]),
            (f"{printable(signal.run_id)} ", "bold"),
            printable(f"step {signal.step}: {signal.message}"),
        )
        self.console.print(line, soft_wrap=True)

    def advance(self, runs: Mapping[str, RunProgress]) -> None:
        """Show how far the runs are."""
        for run_id, task in self._tasks.items():
            progress = runs.get(run_id, RunProgress())
            self._bars.update(task, completed=progress.step + 1, loss=f"{progress.loss:.3f}")
        if self._bars.disable and time.monotonic() >= self._due:
            self._due = time.monotonic() + PLAIN_PROGRESS_SECONDS
            steps = (
                f"{part.run_id} {runs.get(part.run_id, RunProgress()).step + 1}/{part.steps}" for part in self._parts
            )
            self.console.print(Text(", ".join(steps)), soft_wrap=True)


def closing_table(parts: Iterable[Part], signals: Mapping[str, list[Signal]]) -> Table:
    """Run × signal: type, severity, step and message of the first of its type, and how many there were.

    A run without signals has a row, too.
    """
    table = _table("run", "signal", "severity", "first at step", "times", "message")
    for part in parts:
        name = Text(part.run_id, style="bold")
        by_type: dict[str, list[Signal]] = {}
        for signal in signals[part.run_id]:
            by_type.setdefault(signal.type, []).append(signal)
        if not by_type:
            table.add_row(name, "none", "", "", "", Text(part.story, style="dim"))
        for type_, all_of_type in by_type.items():
            first = all_of_type[0]
            severity = Text(first.severity, style=COLOURS[first.severity])
            asked = " (stop)" if first.action == "stop" else ""
            message = Text(printable(first.message))
            table.add_row(name, type_ + asked, severity, str(first.step), str(len(all_of_type)), message)
            name = Text("")
    return table


def pages_table(tellings: Iterable[Telling]) -> Table:
    """Run × signal × severity: who was told, and how long after the step."""
    table = _table("run", "signal", "severity", "told", "after")
    for telling in tellings:
        page, after = telling.page, ""
        told = Text(telling.reason, style="dim")
        if page is not None:
            told, after = Text(page.receiver, style="bold"), f"{page.received_at - telling.signalled_at:.1f} s"
        elif telling.due is not None:
            told = Text(f"nobody: {telling.due} did not hear of it", style="red")
        severity = Text(telling.severity, style=COLOURS[telling.severity])
        table.add_row(Text(telling.run_id, style="bold"), telling.type, severity, told, after)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column in {"first at step", "times", "after"}
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    return table
