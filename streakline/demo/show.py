"""What the demo shows: progress while runs and diffs go on, signals as they fire, and tables at the end."""

import time
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from producers.events import DiffCompleted, DiffEvent, Severity, Signal
from streakline.cli.text import printable
from streakline.demo.cast import Part
from streakline.demo.paging import Telling
from streakline.demo.watch import RunProgress
from workers.coordination.board import JobProgress

COLOURS: dict[Severity, str] = {"info": "cyan", "warning": "yellow", "critical": "red"}
SCORES = ("accuracy", "consistency", "robustness", "suppression")
"""of a diff, those that are shown"""
PLAIN_PROGRESS_SECONDS = 5.0

_NUMBERS = {"first at step", "times", "after", "took", "points"}


class Stage:
    """Bars on a terminal; elsewhere a line now and then."""

    def __init__(self, console: Console, parts: Iterable[Part]) -> None:
        self.console = console
        self._parts = list(parts)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:>4}/{task.total}"),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {
            part.run_id: self._bars.add_task(part.run_id, total=part.steps, note="loss -") for part in self._parts
        }
        self._diffs: dict[str, TaskID] = {}
        self._due = time.monotonic() + PLAIN_PROGRESS_SECONDS

    def __enter__(self) -> "Stage":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def tell(self, news: Signal | DiffEvent) -> None:
        """One line for a signal that just fired, or a diff that was just made."""
        if isinstance(news, Signal):
            kind: str = news.severity
            colour = COLOURS[news.severity]
            said = news.message if news.regression is not None else f"step {news.step}: {news.message}"
        else:
            kind = "diff"
            colour = "green" if isinstance(news, DiffCompleted) else "red"
            said = _diff_said(news)
            self._show_diff(news.run_id, 100, "done")
        line = Text.assemble((f"{kind:<8} ", colour), (f"{printable(news.run_id)} ", "bold"), printable(said))
        self.console.print(line, soft_wrap=True)

    def advance(self, runs: Mapping[str, RunProgress], diffs: Iterable[JobProgress] = ()) -> None:
        """Show how far the runs are, and the `diffs` that are being made."""
        for run_id, task in self._tasks.items():
            progress = runs.get(run_id, RunProgress())
            self._bars.update(task, completed=progress.step + 1, note=f"loss {progress.loss:.3f}")
        making = list(diffs)
        for diff in making:
            self._show_diff(diff.run_id, diff.percent, diff.stage)
        if self._bars.disable and time.monotonic() >= self._due:
            self._due = time.monotonic() + PLAIN_PROGRESS_SECONDS
            steps = (
                f"{part.run_id} {runs.get(part.run_id, RunProgress()).step + 1}/{part.steps}" for part in self._parts
            )
            percents = (f"diff of {diff.run_id} {diff.percent:.0f}% ({diff.stage})" for diff in making)
            self.console.print(Text(", ".join([*steps, *percents])), soft_wrap=True)

    def _show_diff(self, run_id: str, percent: float, note: str) -> None:
        if run_id not in self._diffs:
            self._diffs[run_id] = self._bars.add_task(f"diff of {run_id}", total=100)
        self._bars.update(self._diffs[run_id], completed=round(percent), note=note)


def _diff_said(event: DiffEvent) -> str:
    if not isinstance(event, DiffCompleted):
        return event.error
    changes = {each.score: f"{each.score} {each.base:.2f} → {each.fine_tuned:.2f}" for each in event.scores}
    return f"against its base: {', '.join(changes[score] for score in SCORES if score in changes)}"


def closing_table(parts: Iterable[Part], signals: Mapping[str, Sequence[Signal]]) -> Table:
    """Run × signal: type, severity, step and message of the first of its type, and how many there were.

    A run without signals has a row, too.
    """
    table = table_of("run", "signal", "severity", "first at step", "times", "message")
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
            step = str(first.step) if first.regression is None else ""
            table.add_row(name, type_ + asked, severity, step, str(len(all_of_type)), message)
            name = Text("")
    return table


def pages_table(tellings: Iterable[Telling]) -> Table:
    """Run × signal × severity: who was told, and how long after the step."""
    table = table_of("run", "signal", "severity", "told", "after")
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


def table_of(*columns: str) -> Table:
    """An empty one."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column in _NUMBERS
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    return table
