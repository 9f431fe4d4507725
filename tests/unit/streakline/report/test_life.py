"""Whose a run is, and how it ended."""

from pathlib import Path

import pytest

from producers.events import RunCompleted, RunFailed, RunStarted, StepEvent
from streakline.report.asking import RunNotFound
from streakline.report.content import Report
from streakline.report.reading import read_report
from tests.archived import write_events
from tests.asked_rows import signal_of
from tests.reported_rows import run_row
from tests.unit.workers.lake.rows import common
from workers.archive.rows import ArchivedEvent
from workers.lake.session import Session
from workers.lake.statements import QueryError
from workers.lake.writer import Lake


def read(root: Path, events: list[ArchivedEvent], project: str | None = None) -> Report:
    if events:
        write_events(Lake(str(root)), events)
    with Session(str(root)) as session:
        return read_report(session, "r", project=project)


def started(attempt: int, ts: float, project: str = "p", **config: str) -> RunStarted:
    return RunStarted(run_id="r", attempt=attempt, ts=ts, project=project, config=config)


def step(attempt: int) -> StepEvent:
    return StepEvent(run_id="r", attempt=attempt, step=attempt, ts=5, loss=1.0)


def test_a_run_that_was_started_anew_is_what_became_of_its_last_attempt(tmp_path: Path) -> None:
    failed = RunFailed(run_id="r", attempt=1, ts=4, project="p", error="killed")
    found = read(tmp_path, [started(1, 3, lr="1"), failed, started(2, 6, lr="2"), step(2)])
    assert (found.attempt, found.ending, found.error, found.started, found.ended) == (2, "running", None, 3, None)
    assert found.config == {"lr": "2"}


def test_a_run_that_ended_twice_is_what_was_said_last(tmp_path: Path) -> None:
    ended = RunCompleted(run_id="r", attempt=1, ts=9, project="p", steps=1)
    found = read(tmp_path, [started(1, 3), ended, RunFailed(run_id="r", attempt=1, ts=8, project="p", error="e")])
    assert (found.ending, found.ended) == ("completed", 9)


def test_a_long_error_and_a_large_config_are_cut(tmp_path: Path) -> None:
    events: list[ArchivedEvent] = [
        started(1, 3, **{f"key-{number}": "v" * 4000 for number in range(900)}),
        RunFailed(run_id="r", attempt=1, ts=8, project="p", error="e" * 60_000),
    ]
    found = read(tmp_path, events)
    assert len(found.error or "") == 4000
    assert len(found.config) == 200
    assert {len(value) for value in found.config.values()} == {1000}


def test_an_id_in_two_projects(tmp_path: Path) -> None:
    events: list[ArchivedEvent] = [started(1, 3, "p"), step(1), started(2, 4, "q"), step(2)]
    with pytest.raises(QueryError, match="run r is in the projects p and q: --project says which is meant"):
        read(tmp_path, events)
    with pytest.raises(RunNotFound, match="project x has no run r: it is in p and q"):
        read(tmp_path, events, "x")
    found = read(tmp_path, events, "p")
    assert (found.project, found.attempt, [each.attempt for each in found.timelines]) == ("p", 1, [1])


def test_a_run_that_was_never_announced(tmp_path: Path) -> None:
    found = read(tmp_path / "a", [step(0)])
    assert (found.project, found.ending, found.started) == ("default", "running", None)
    found = read(tmp_path / "b", [signal_of("r", 3, "gradient_spike", "warning", 1.0)])
    assert (found.project, found.timelines, found.signals_total) == ("assistant", (), 1)


def test_a_diff_says_that_its_attempt_completed(tmp_path: Path) -> None:
    Lake(str(tmp_path)).write("runs", [run_row("r", attempt=1)], common("r", project="p", created_at=77.5))
    found = read(tmp_path, [started(1, 3), step(1)])
    assert (found.ending, found.ended) == ("completed", 77.5)
    found = read(tmp_path, [started(1, 3), step(1), started(2, 4)])
    assert (found.ending, found.ended) == ("running", None)


def test_a_diff_alone_is_enough(tmp_path: Path) -> None:
    Lake(str(tmp_path)).write("runs", [run_row("r", attempt=4)], common("r", project="p", created_at=77.5))
    found = read(tmp_path, [])
    assert (found.attempt, found.ending, found.project, found.base_model) == (4, "completed", "p", "models/base-1b")
    assert found.diff is not None
    assert found.diff.histories == ()
