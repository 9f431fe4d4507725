"""The demo: the real pipeline on this machine, with runs that go well and runs that do not."""

import contextlib
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from producers.events import Signal
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from streakline.alerting import AlertingSettings
from streakline.demo.cast import Part, parts, start
from streakline.demo.paging import Telling, overdue, tellings, uncalled_for
from streakline.demo.scenarios import SCENARIOS, Scenario
from streakline.demo.show import Stage, closing_table, pages_table
from streakline.demo.watch import POLL_SECONDS, Watch
from streakline.pages import Notification, Page, lines
from streakline.processes import stop
from streakline.stack import Stack, StackSettings

TIMEOUT_SECONDS = 600.0
SETTLE_SECONDS = 30.0
"""for the last signals, once every run has ended"""
PAGES_SECONDS = 60.0
"""for the last pages, once the last signal has come"""


class DemoError(RuntimeError):
    """The demo could not be played; the message says why and where to look."""


def run_demo(
    state_dir: Path, console: Console, *, scenarios: Sequence[Scenario] = SCENARIOS, keep: bool = False
) -> bool:
    """Play the demo and say whether all went as it has to.

    That is: every expected signal came, no other came than the offline replay's, and who has to be told of them was,
    where Prometheus and Alertmanager are installed. With `keep` the stack stays up afterwards until Ctrl-C.
    Raises `DemoError`, and what `Stack` raises.
    """
    began = time.monotonic()
    console.print("starting a broker in memory, a stream worker, Prometheus and Alertmanager")
    ports = AlertingSettings(prometheus_port=0, alertmanager_port=0, receiver_port=0)
    settings = StackSettings(state_dir=state_dir, broker_port=0, metrics_port=0, alerting=ports)
    state_dir.mkdir(parents=True, exist_ok=True)
    pages: list[Page] = []

    def take(notification: Notification) -> None:
        pages.extend(notification.pages)
        for line in lines(notification):
            console.print(Text(line, style="magenta"), soft_wrap=True)

    with Stack(settings, KafkaSettings(), TopicSettings(), say=console.print, on_notification=take) as stack:
        cast = parts(scenarios)
        console.print("starting trainers, each a process of its own, and the replay of three recorded fine-tunes:")
        for part in cast:
            console.print(Text.assemble("  ", (f"{part.run_id:<20} ", "bold"), part.story))
        with contextlib.closing(Watch(stack.kafka, stack.topics)) as watch, _processes(scenarios, stack) as processes:
            with Stage(console, cast) as stage:
                _follow(stack, watch, stage, cast, processes, began + TIMEOUT_SECONDS)
            signals = {part.run_id: watch.of_run(part.run_id) for part in cast}
            agrees = _is_complete(watch, cast)
            steps = sum(progress.step + 1 for progress in watch.runs.values())
        problems = [*_problems(cast, signals)]
        if not agrees:
            problems.append("the signals are not those of an offline replay of the same steps")
        told = _wait_for_pages(stack, console, cast, signals, pages) if stack.alerting is not None else []
        problems += [*overdue(told), *uncalled_for(cast, signals, pages)]
        console.print()
        console.print(closing_table(cast, signals))
        console.print()
        if told:
            console.print(pages_table(told))
            console.print()
        for problem in problems:
            console.print(Text(problem, style="red"))
        if not problems:
            console.print(
                f"{steps:,} steps of {len(cast)} runs in {time.monotonic() - began:.0f} s; every expected signal came, "
                "and the signals topic holds exactly what an offline replay of the steps gives"
            )
            if told:
                console.print("who has to be told of a signal was, and nobody of a healthy run or of a replay")
        _where_next(console, stack, keep=keep)
        if keep:
            stack.watch(float("inf"))
    return not problems


@contextlib.contextmanager
def _processes(scenarios: Sequence[Scenario], stack: Stack) -> Iterator[Mapping[str, subprocess.Popen[bytes]]]:
    processes = start(scenarios, stack.kafka, stack.topics, stack.logs)
    try:
        yield processes
    finally:
        for process in processes.values():
            stop(process)


def _is_complete(watch: Watch, cast: Iterable[Part]) -> bool:
    """Whether every step has been read back, and exactly the signals that they give."""
    return watch.agrees and all(
        part.run_id in watch.runs and watch.runs[part.run_id].step + 1 == part.steps for part in cast
    )


def _follow(  # noqa: PLR0917
    stack: Stack,
    watch: Watch,
    stage: Stage,
    cast: Sequence[Part],
    processes: Mapping[str, subprocess.Popen[bytes]],
    deadline: float,
) -> None:
    """Show what happens until every process has ended and the last signal has come, or is overdue."""
    settled_by = None
    while settled_by is None or not (_is_complete(watch, cast) or time.monotonic() > settled_by):
        for signal in watch.poll():
            stage.tell(signal)
        stage.advance(watch.runs)
        stack.check()
        for name, process in processes.items():
            if process.poll():
                raise DemoError(f"{name} ended with status {process.returncode}: see {stack.logs / f'{name}.log'}")
        if time.monotonic() > deadline:
            raise DemoError(f"the runs did not end within {TIMEOUT_SECONDS:.0f} s: see {stack.logs}")
        if settled_by is None and all(process.poll() == 0 for process in processes.values()):
            settled_by = time.monotonic() + SETTLE_SECONDS


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


def _where_next(console: Console, stack: Stack, *, keep: bool) -> None:
    console.print("\nwhere to look next:")
    if keep:
        bootstrap = f"STREAKLINE_KAFKA_BOOTSTRAP={stack.kafka.kafka_bootstrap}"
        console.print(f"  {bootstrap} streakline runs", soft_wrap=True, highlight=False)
        console.print(f"  {bootstrap} streakline signals smol-dead", soft_wrap=True, highlight=False)
        console.print(f"  metrics at {stack.workers[0].metrics_url}", soft_wrap=True, highlight=False)
        if stack.alerting is not None:
            console.print(f"  Prometheus at {stack.alerting.prometheus_url}", soft_wrap=True, highlight=False)
            console.print(f"  Alertmanager at {stack.alerting.alertmanager_url}", soft_wrap=True, highlight=False)
        console.print("Ctrl-C stops everything")
        return
    console.print(
        "  streakline demo --keep   the same, and the stack stays up for `streakline runs` and `streakline signals`\n"
        "  streakline up            the stack for your own trainers\n"
        "  README.md                three lines for your training loop\n"
        f"  {stack.logs}   what every process had to say",
        soft_wrap=True,
        highlight=False,
    )
