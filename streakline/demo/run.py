"""The demo: the real pipeline on this machine, with runs that go well and runs that do not."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from producers.events import DiffEvent, Signal
from producers.kafka import KafkaSettings
from producers.settings import to_environ
from producers.topics import TopicSettings
from streakline.alerting import AlertingSettings
from streakline.archiving import ArchivingSettings
from streakline.demo.archived import wait_for_archive
from streakline.demo.cast import Part, parts, start
from streakline.demo.closing import Outcome, show_outcome, show_where_next
from streakline.demo.diff_board import DiffBoard
from streakline.demo.diffs import diff_problems, lake_problems, told_in
from streakline.demo.fine_tunes import FINE_TUNES, FineTune
from streakline.demo.paging import Telling, overdue, tellings, uncalled_for
from streakline.demo.reports import write_reports
from streakline.demo.scenarios import SCENARIOS, Scenario
from streakline.demo.show import Stage
from streakline.demo.watch import POLL_SECONDS, Watch
from streakline.diffing import DiffingSettings
from streakline.pages import Notification, Page, lines
from streakline.processes import stop
from streakline.stack import Stack, StackSettings
from streakline.stack_dashboard import StackDashboardSettings
from streakline.stack_redis import StackRedisSettings
from workers.lake.writer import Lake
from workers.settings import DiffSettings

Process = subprocess.Popen[bytes]

TIMEOUT_SECONDS = 600.0
SETTLE_SECONDS = 30.0
"""for the last signals, once every run has ended"""
DIFF_SECONDS = 30.0
"""more for each diff"""
ARCHIVE_SECONDS = "2"
"""after which what came is a file"""
PAGES_SECONDS = 60.0
"""for the last pages, once the last signal has come"""


class DemoError(RuntimeError):
    """The demo could not be played; the message says why and where to look."""


def run_demo(
    state_dir: Path,
    console: Console,
    *,
    scenarios: Sequence[Scenario] = SCENARIOS,
    fine_tunes: Sequence[FineTune] = FINE_TUNES,
    keep: bool = False,
) -> bool:
    """Play the demo and say whether all went as it has to.

    That is: every expected signal came, no other came than the offline replay's, who has to be told of them was, where
    Prometheus and Alertmanager are installed, of every fine-tune there is a diff, on its topic and in the lake, and so
    are all steps, signals and run events. With `keep` the stack stays up afterwards until Ctrl-C. Raises `DemoError`,
    and what `Stack` raises.
    """
    began = time.monotonic()
    diffs = "a diff worker, " if fine_tunes else ""
    workers = f"a stream worker, {diffs}an archiver"
    console.print(f"starting a broker in memory, Redis, {workers}, Prometheus and Alertmanager")
    state_dir.mkdir(parents=True, exist_ok=True)
    places = _Places(state_dir.absolute())
    ports = AlertingSettings(prometheus_port=0, alertmanager_port=0, receiver_port=0)
    settings = StackSettings(
        state_dir=state_dir,
        broker_port=0,
        metrics_port=0,
        redis=StackRedisSettings(port=0),
        alerting=ports,
        diffing=places.diffing if fine_tunes else None,
        archiving=places.archiving,
        dashboard=StackDashboardSettings(),
    )
    pages: list[Page] = []

    def take(notification: Notification) -> None:
        pages.extend(notification.pages)
        for line in lines(notification):
            console.print(Text(line, style="magenta"), soft_wrap=True)

    with Stack(settings, KafkaSettings(), TopicSettings(), say=console.print, on_notification=take) as stack:
        # Those of an earlier demo: its base would not be measured again.
        for folder in (places.models, places.lake):
            shutil.rmtree(folder, ignore_errors=True)
        if stack.dashboard is not None:
            console.print(Text(f"the dashboard is at {stack.dashboard.url} while it runs"), soft_wrap=True)
        cast = parts(scenarios, fine_tunes)
        others = ", one for a base and its fine-tunes," if fine_tunes else ","
        console.print(
            f"starting trainers, each a process of its own{others} and the replay of three recorded fine-tunes:"
        )
        for part in cast:
            console.print(Text.assemble("  ", (f"{part.run_id:<20} ", "bold"), part.story))
        deadline = began + TIMEOUT_SECONDS
        with (
            contextlib.closing(Watch(stack.kafka, stack.topics)) as watch,
            _processes(stack, scenarios, fine_tunes, places.models) as processes,
        ):
            with Stage(console, cast) as stage:
                _follow(stack, watch, stage, cast, fine_tunes, processes, deadline)
            signals = {part.run_id: watch.of_run(part.run_id) for part in cast}
            agrees = _is_complete(watch, cast, fine_tunes)
            steps = sum(progress.step + 1 for progress in watch.runs.values())
        told = told_in(stack.logs / "diff-1.log", watch.diffs.values())
        problems = [*_problems(cast, signals), *diff_problems(fine_tunes, watch.diffs, signals, told)]
        if not agrees:
            problems.append("the signals are not those of an offline replay of the same steps and diffs")
        told_of = _wait_for_pages(stack, console, cast, signals, pages) if stack.alerting is not None else []
        problems += [*overdue(told_of), *uncalled_for(cast, signals, pages)]
        problems += _wait_for_lake(stack, Lake(str(places.lake)), watch.diffs, signals)
        problems += wait_for_archive(stack, Lake(str(places.lake)), SETTLE_SECONDS)
        reports = write_reports(places.lake, places.reports, (part.run_id for part in cast))
        outcome = Outcome(
            cast=cast,
            signals=signals,
            tellings=told_of,
            fine_tunes=fine_tunes,
            diffs=watch.diffs,
            told=told,
            lake=places.lake,
            problems=problems,
            steps=steps,
            seconds=time.monotonic() - began,
        )
        show_outcome(console, outcome)
        show_where_next(console, stack, places.lake, reports, keep=keep)
        if keep:
            stack.watch(float("inf"))
    return not problems


class _Places(NamedTuple):
    """Where the demo's models, its lake and what is made of it are."""

    root: Path

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def diffing(self) -> DiffingSettings:
        """A worker of the demo's own, whatever the environment says of others."""
        own = DiffSettings(lake=str(self.lake), model_roots=str(self.models), device="cpu")
        return DiffingSettings(metrics_port=0, worker_environ={**to_environ(own), "OMP_NUM_THREADS": "1"})

    @property
    def archiving(self) -> ArchivingSettings:
        """An archiver whose files come while the demo runs."""
        own = {"STREAKLINE_LAKE": str(self.lake), "STREAKLINE_ARCHIVE_SECONDS": ARCHIVE_SECONDS}
        return ArchivingSettings(metrics_port=0, worker_environ=own)


@contextlib.contextmanager
def _processes(
    stack: Stack, scenarios: Sequence[Scenario], fine_tunes: Sequence[FineTune], models: Path
) -> Iterator[Mapping[str, Process]]:
    processes = start(scenarios, fine_tunes, kafka=stack.kafka, topics=stack.topics, logs=stack.logs, models=models)
    try:
        yield processes
    finally:
        for process in processes.values():
            stop(process)


def _is_complete(watch: Watch, cast: Iterable[Part], fine_tunes: Iterable[FineTune]) -> bool:
    """Whether every step and diff has been read back, and exactly the signals that they give."""
    return (
        watch.agrees
        and all(part.run_id in watch.runs and watch.runs[part.run_id].step + 1 == part.steps for part in cast)
        and all(fine_tune.run_id in watch.diffs for fine_tune in fine_tunes)
    )


def _follow(  # noqa: PLR0917
    stack: Stack,
    watch: Watch,
    stage: Stage,
    cast: Sequence[Part],
    fine_tunes: Sequence[FineTune],
    processes: Mapping[str, Process],
    deadline: float,
) -> None:
    """Show what happens until every process has ended and the last signal and diff have come, or are overdue."""
    settle_seconds = SETTLE_SECONDS + DIFF_SECONDS * len(fine_tunes)
    board = DiffBoard(stack)
    settled_by = None
    while settled_by is None or not (_is_complete(watch, cast, fine_tunes) or time.monotonic() > settled_by):
        for news in watch.poll():
            stage.tell(news)
        stage.advance(watch.runs, board.in_progress())
        stack.check()
        for name, process in processes.items():
            if process.poll():
                raise DemoError(f"{name} ended with status {process.returncode}: see {stack.logs / f'{name}.log'}")
        if time.monotonic() > deadline:
            raise DemoError(f"the runs did not end within {TIMEOUT_SECONDS:.0f} s: see {stack.logs}")
        if settled_by is None and all(process.poll() == 0 for process in processes.values()):
            settled_by = time.monotonic() + settle_seconds


def _problems(cast: Iterable[Part], signals: Mapping[str, list[Signal]]) -> Iterator[str]:
    for part in cast:
        for type_ in sorted(part.missing(signals[part.run_id])):
            yield f"{part.run_id}: {type_} was expected and did not fire"
        for type_ in sorted(part.unwanted(signals[part.run_id])):
            yield f"{part.run_id}: {type_} fired and should not have"


def _wait_for_pages(
    stack: Stack, console: Console, cast: Sequence[Part], signals: Mapping[str, list[Signal]], pages: Sequence[Page]
) -> list[Telling]:
    """What became of every signal, once all that have to be told are, or are overdue. `pages` grows meanwhile."""
    deadline = time.monotonic() + PAGES_SECONDS
    is_waiting = False
    while True:
        stack.check()
        told = [*tellings(cast, signals, pages)]
        if not any(telling.due for telling in told) or time.monotonic() > deadline:
            return told
        if not is_waiting:
            console.print("waiting for Alertmanager, which collects a run's warnings for 30 s before it tells of them")
            is_waiting = True
        time.sleep(POLL_SECONDS)


def _wait_for_lake(
    stack: Stack, lake: Lake, diffs: Mapping[str, DiffEvent], signals: Mapping[str, list[Signal]]
) -> list[str]:
    """What the lake lacks of the diffs, once it lacks nothing, or that is overdue: regressions are written last."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        stack.check()
        lacking = [*lake_problems(lake, diffs.values(), signals)]
        if not lacking or time.monotonic() > deadline:
            return lacking
        time.sleep(POLL_SECONDS)
