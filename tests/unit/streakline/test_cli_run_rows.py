from itertools import permutations

import pytest

from producers.events import (
    DiffCompleted,
    DiffFailed,
    DiffFailure,
    Lifecycle,
    RunCompleted,
    RunFailed,
    RunStarted,
    Severity,
    Signal,
)
from streakline.cli.run_rows import DiffState, RunBook, RunRow, SignalCounts
from stream_app.engine.state import RunState

STARTED = RunStarted(run_id="a", ts=100.0, attempt=1, project="llm")
COMPLETED = RunCompleted(run_id="a", ts=200.0, attempt=1, project="llm", steps=50)


def signal(severity: Severity, step: int = 7, attempt: int = 1, run_id: str = "a") -> Signal:
    return Signal(
        signal_id=f"{run_id}/{attempt}/{step}/non_finite",
        run_id=run_id,
        project="signalled",
        attempt=attempt,
        step=step,
        ts=1.0,
        type="non_finite",
        severity=severity,
        metric="loss",
        value=1.0,
        threshold=None,
        layers=None,
        epoch=None,
        message="",
        action=None,
    )


Known = Lifecycle | Signal | RunState | None


def book(*known: Known) -> RunBook:
    made = RunBook()
    for each in known:
        match each:
            case Signal():
                made.add_signal(each)
            case RunState() | None:
                made.add_state("a", each)
            case _:
                made.add_event(each)
    return made


def row(*known: Known) -> RunRow:
    (only,) = book(*known).rows()
    return only


def test_an_announced_run_that_goes_on() -> None:
    state = RunState(attempt=1, last_step=12, project="llm", losses=(3.0, 2.5))
    assert row(STARTED, state, signal("warning"), signal("info"), signal("warning")) == RunRow(
        run="a",
        project="llm",
        attempt=1,
        status="running",
        last_step=12,
        last_loss=2.5,
        started=100.0,
        signals=SignalCounts(warning=2, info=1),
        diff=None,
    )


def test_a_run_that_was_never_announced_shows_up() -> None:
    known = row(RunState(attempt=0, last_step=3))
    assert (known.project, known.status, known.last_step, known.started) == ("default", "running", 3, None)


def test_a_run_of_which_only_signals_are_left_shows_up() -> None:
    known = row(signal("critical", step=3), signal("critical", step=9), signal("critical", step=20, attempt=0))
    assert (known.project, known.attempt, known.last_step) == ("signalled", 1, 9)


@pytest.mark.parametrize(
    ("ended", "status", "last_step"),
    [(COMPLETED, "completed", 50), (RunFailed(run_id="a", ts=1.0, attempt=1, error="x"), "failed", None)],
)
def test_how_a_run_ended_outlives_its_state(ended: Lifecycle, status: str, last_step: int | None) -> None:
    known = row(STARTED, ended, RunState(attempt=1, last_step=49, has_ended=True), None)
    assert (known.status, known.last_step) == (status, last_step)


def test_a_run_whose_end_is_forgotten_has_ended() -> None:
    assert row(RunState(attempt=1, last_step=4, has_ended=True)).status == "ended"


def test_only_the_latest_attempt_counts_whatever_is_read_first() -> None:
    again = RunStarted(run_id="a", ts=300.0, attempt=2, project="llm")
    late = RunState(attempt=1, last_step=49, losses=(1.0,), has_ended=True)
    others: list[Known] = [again, late, signal("warning", attempt=1), COMPLETED]
    for known in permutations(others):
        found = row(STARTED, *known)
        assert (found.attempt, found.status, found.last_step, found.last_loss, found.started) == (
            2,
            "running",
            None,
            None,
            300.0,
        )


def test_a_deleted_state_alone_is_no_run() -> None:
    assert not list(book(RunState(attempt=0), None).rows())


def test_the_run_that_started_last_is_at_the_end() -> None:
    made = book(STARTED, RunStarted(run_id="b", ts=50.0), signal("info", run_id="c"))
    assert [each.run for each in made.rows()] == ["c", "b", "a"]


def done(attempt: int = 1) -> DiffCompleted:
    sha = "ab" * 8
    return DiffCompleted(run_id="a", ts=1.0, attempt=attempt, diff_id=sha, base_sha=sha, ft_sha=sha, probes_sha=sha)


def failed(reason: DiffFailure) -> DiffFailed:
    return DiffFailed(run_id="a", ts=1.0, attempt=1, reason=reason, error="x")


def test_how_its_diff_ended_is_a_runs_last_word_of_it() -> None:
    made = book(COMPLETED)
    made.add_diff(done(attempt=0))
    assert [each.diff for each in made.rows()] == [None]
    made.add_diff(failed("missing"))
    assert [each.diff for each in made.rows()] == [DiffState(state="failed", reason="missing")]
    made.add_diff(done())
    assert [each.diff for each in made.rows()] == [DiffState(state="done", diff_id="ab" * 8)]


def test_a_diff_that_is_being_made_is_made_again() -> None:
    made = book(COMPLETED)
    made.add_diff(failed("out_of_memory"))
    made.add_diff_under_way("a", 1, stage="behaviour", percent=12.5, eta_seconds=None)
    made.add_diff_under_way("nobody", 1, stage="behaviour", percent=12.5, eta_seconds=None)
    assert [each.diff for each in made.rows()] == [DiffState(state="making", stage="behaviour", percent=12.5)]
