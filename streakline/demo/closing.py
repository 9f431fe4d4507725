"""What the demo says when it is over: the tables, what went wrong, and where to look next."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.text import Text

from producers.events import DiffEvent, Signal
from streakline.demo.cast import Part
from streakline.demo.diff_tables import diffs_table, regressions_table
from streakline.demo.diffs import Told
from streakline.demo.fine_tunes import PROJECT, FineTune
from streakline.demo.paging import Telling
from streakline.demo.show import closing_table, pages_table
from streakline.stack import Stack
from streakline.stack_dashboard import DASHBOARD_URL


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of it all."""

    cast: Sequence[Part]
    signals: Mapping[str, Sequence[Signal]]
    """run → its signals"""
    tellings: Sequence[Telling]
    """none without Alertmanager"""
    fine_tunes: Sequence[FineTune]
    diffs: Mapping[str, DiffEvent]
    """run → what came of its diff"""
    told: Told
    """by the diff worker"""
    lake: Path
    problems: Sequence[str]
    steps: int
    seconds: float


def show_outcome(console: Console, outcome: Outcome) -> None:
    """The tables, each problem, and a sentence where there is none."""
    console.print()
    console.print(closing_table(outcome.cast, outcome.signals))
    if outcome.fine_tunes:
        console.print()
        console.print(diffs_table(outcome.fine_tunes, outcome.diffs, outcome.told))
        console.print()
        console.print(regressions_table(outcome.signals.values()))
    console.print()
    if outcome.tellings:
        console.print(pages_table(outcome.tellings))
        console.print()
    for problem in outcome.problems:
        console.print(Text(problem, style="red"))
    if not outcome.problems:
        _praise(console, outcome)


def _praise(console: Console, outcome: Outcome) -> None:
    sources = "steps and diffs give" if outcome.fine_tunes else "steps gives"
    console.print(
        f"{outcome.steps:,} steps of {len(outcome.cast)} runs in {outcome.seconds:.0f} s; every expected signal came, "
        f"and the signals topic holds exactly what an offline replay of the {sources}"
    )
    if outcome.fine_tunes:
        damaged = ", ".join(fine_tune.run_id for fine_tune in outcome.fine_tunes if fine_tune.mistaught)
        console.print(
            f"{len(outcome.fine_tunes)} fine-tunes were compared with their base, which was measured once; "
            f"of them only {damaged} fell behind, and the lake holds what the topics tell"
        )
    if outcome.tellings:
        console.print("who has to be told of a signal was, and nobody of a healthy run or of a replay")


def show_where_next(console: Console, stack: Stack, lake: Path, reports: Sequence[Path], *, keep: bool) -> None:
    """Where everything is, and what to run."""
    shown = shlex.quote(os.path.relpath(lake))

    def say(line: str) -> None:
        console.print(Text(line), soft_wrap=True)

    say("\nwhere to look next:")
    if keep:
        bootstrap = f"STREAKLINE_KAFKA_BOOTSTRAP={stack.kafka.kafka_bootstrap}"
        say(f"  {bootstrap} streakline runs")
        say(f"  {bootstrap} streakline signals smol-dead")
        if stack.dashboard is not None:
            say(f"  the dashboard at {stack.dashboard.url}")
        say(f"  metrics at {stack.workers[0].metrics_url}")
        if stack.alerting is not None:
            say(f"  Prometheus at {stack.alerting.prometheus_url}")
            say(f"  Alertmanager at {stack.alerting.alertmanager_url}")
    else:
        say(
            "  streakline demo --keep   the same, and the stack stays up for `streakline runs` and `streakline signals`"
        )
        say(f"  streakline dashboard --lake {shown}   every run in a browser, at {DASHBOARD_URL}")
        say("  streakline up            the stack for your own trainers")
        say("  docs/trainers.md         three lines for your training loop")
        say(f"  {stack.logs}   what every process had to say")
    say("  the report of each run, to be opened in a browser:")
    for report in reports:
        say(f"    {os.path.relpath(report)}")
    say(f"  {lake}   every diff, step and signal as Parquet; in SQL, for one:")
    say(f"    {sample_query(lake)}")
    if keep:
        say("Ctrl-C stops everything")


def sample_query(lake: Path) -> str:
    """A command that shows what each fine-tune did to each category."""
    sql = (
        "SELECT run_id, category, base, fine_tuned, verdict FROM model_diff "  # noqa: S608 - of constants
        f"WHERE project = '{PROJECT}' AND score = 'accuracy' AND scope = 'category' ORDER BY created_at, category"
    )
    return f'streakline query "{sql}" --lake {shlex.quote(os.path.relpath(lake))}'
