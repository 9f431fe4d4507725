"""What the list of runs takes from the lake."""

from collections.abc import Iterator
from pathlib import Path

from producers.events import RunCompleted, RunStarted, StepEvent
from streakline.dashboard.lake_runs import lake_runs
from streakline.dashboard.rows import LakeRun, LastSignal
from tests.asked_lake import RUNS, write_diff
from tests.asked_rows import signal_of
from workers.archive.files import serialise
from workers.archive.rows import ArchivedEvent, Record, table_of, to_table
from workers.lake.ranges import Range, Series, range_path
from workers.lake.session import Session
from workers.lake.writer import Lake

NAN = float("nan")


def archive(root: Path, *events: ArchivedEvent) -> None:
    """As `streakline archive` does."""
    for table in {table_of(event) for event in events}:
        topic = "streakline.signals" if table == "signals" else "streakline.steps"
        records = [Record(offset, None, event) for offset, event in enumerate(events) if table_of(event) == table]
        data = serialise(table, [to_table(table, topic, 0, records)])
        path = range_path(table, Series(topic, 0, "0a"), Range(0, len(events) - 1))
        Lake(str(root)).write_bytes(path, data)


def found(root: Path) -> dict[str, LakeRun]:
    with Session(str(root)) as session:
        return dict(lake_runs(session).runs)


def steps(run_id: str, attempt: int, *losses: float) -> Iterator[StepEvent]:
    return (
        StepEvent(run_id=run_id, attempt=attempt, step=number, ts=100.0 * attempt + number, loss=loss)
        for number, loss in enumerate(losses)
    )


def test_the_latest_attempt_counts_in_every_table(tmp_path: Path) -> None:
    archive(
        tmp_path,
        RunStarted(run_id="a", project="p", ts=99.0, attempt=1),
        *steps("a", 1, 5.0, 4.0),
        RunCompleted(run_id="a", project="p", ts=150.0, attempt=1, steps=2),
        # Nothing but steps is known of the second attempt, and nothing but a signal of the third of another run.
        *steps("a", 2, 3.0, NAN, 1.0),
        *steps("b", 1, 1.0),
        signal_of("b", 7, "gradient_spike", "critical", 170.0),
    )
    runs = found(tmp_path)
    assert runs["a"] == LakeRun(
        run_id="a", project="p", attempt=2, last_step=2, event_at=202.0, loss=1.0, losses=(5.0, 4.0, 3.0, None, 1.0)
    )
    assert runs["b"].attempt == 1
    assert runs["b"].signal == LastSignal("gradient_spike", "critical", 7, 170.0)


def test_of_many_steps_the_latest_make_the_curve(tmp_path: Path) -> None:
    archive(tmp_path, *steps("a", 0, *map(float, range(100))))
    assert found(tmp_path)["a"].losses == tuple(map(float, range(68, 100)))


def test_a_run_that_ended_says_how(tmp_path: Path) -> None:
    archive(
        tmp_path,
        RunStarted(run_id="a", project="p", ts=1.0),
        RunCompleted(run_id="a", project="p", ts=9.0, steps=8),
        RunStarted(run_id="b", project="p", ts=2.0),
    )
    runs = found(tmp_path)
    assert (runs["a"].ending, runs["a"].started, runs["a"].last_step, runs["a"].event_at) == ("completed", 1.0, 7, 9.0)
    assert (runs["b"].ending, runs["b"].last_step) == (None, None)


def test_a_diff_alone_makes_a_run_that_completed(tmp_path: Path) -> None:
    write_diff(Lake(str(tmp_path)), RUNS[0])
    run = found(tmp_path)["sft-1"]
    assert (run.ending, run.project, run.last_step) == ("completed", "assistant", 200)
    assert run.diff_id is not None


def test_names_that_are_none_are_counted(tmp_path: Path) -> None:
    archive(tmp_path, *(StepEvent(run_id=name, step=0, ts=1.0, loss=1.0) for name in ("good", "<b>", "\n")))
    with Session(str(tmp_path)) as session:
        answer = lake_runs(session)
    assert set(answer.runs) == {"good"}
    assert answer.malformed == 2


def test_a_signal_of_a_newer_version_is_left_out(tmp_path: Path) -> None:
    newer = signal_of("a", 1, "of_tomorrow", "warning", 1.0)
    archive(tmp_path, newer)
    assert found(tmp_path)["a"].signal is None
