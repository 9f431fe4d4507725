"""Reports of a lake of which everything is known."""

import math
import shlex
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.main import get_command

from streakline.cli.main import app
from streakline.report.asking import RunNotFound
from streakline.report.clipping import TEXT
from streakline.report.content import LOW_CONFIDENCE_SHOWN, Report
from streakline.report.reading import read_report
from tests.asked_lake import RUNS, write_asked_lake
from tests.reported_lake import CATEGORIES, HOSTILE, HOSTILE_CATEGORY, HOSTILE_LAYER, UNSURE, ReportedLake
from workers.lake.session import Session
from workers.lake.statements import QueryError


@pytest.fixture(scope="module")
def full(known: ReportedLake, session: Session) -> Report:
    return read_report(session, known.run)


def test_the_run(full: Report, known: ReportedLake) -> None:
    assert (full.run_id, full.project, full.attempt, full.ending) == (known.run, known.project, 2, "completed")
    assert (full.base_model, full.checkpoint, full.error) == ("models/base-1b", "runs/sft-6", None)
    assert full.config["note <b>"] == HOSTILE[0]
    assert full.ended is not None
    assert full.started is not None
    assert full.ended - full.started == 7200
    assert full.gravity == "bad"
    assert full.verdict.startswith("Completed; worse than its base in robustness")


def test_an_attempt_that_began_again_is_a_timeline_of_its_own(full: Report, known: ReportedLake) -> None:
    first, second = full.timelines
    assert (first.attempt, second.attempt) == known.attempts
    assert (first.steps[0], first.steps[-1], first.total_steps, first.non_finite) == (0, 1499, 1500, 20)
    assert (second.steps[0], second.steps[-1], second.total_steps, second.non_finite) == (1000, 2999, 2000, 0)
    assert first.loss[-20:] == (None,) * 20
    assert second.max_grad[second.steps.index(1700)] == 25.0


def test_signals_are_in_order_and_finite(full: Report) -> None:
    assert full.signals_total == len(full.signals) == 9
    assert [(each.attempt, each.step) for each in full.signals] == sorted(
        (each.attempt, each.step) for each in full.signals
    )
    (no_number,) = (each for each in full.signals if each.type == "non_finite")
    assert (no_number.value, no_number.threshold) == (None, None)
    (dead,) = (each for each in full.signals if each.type == "dead_layers")
    assert dead.layers == (HOSTILE_LAYER, "lm_head")


def test_the_latest_of_its_diffs(full: Report, known: ReportedLake) -> None:
    assert full.diff is not None
    assert full.diff.diff_id == known.diff_id
    assert [row.score for row in full.diff.scores if row.scope == "overall"] == [
        "accuracy",
        "consistency",
        "mean_kl",
        "robustness",
        "suppression",
    ]
    assert full.diff.heaviest_layers == (12, 8, 4)
    assert {(row.model, row.eval_split) for row in full.diff.calibration} == {
        (model, split) for model in ("base", "fine_tuned") for split in ("held_out", "train")
    }
    assert len(full.diff.bins) == 60
    assert full.diff.left_out == 0


def test_what_the_model_is_least_sure_of(full: Report) -> None:
    assert full.diff is not None
    rows = full.diff.low_confidence
    assert (len(rows), full.diff.low_confidence_total) == (LOW_CONFIDENCE_SHOWN, UNSURE)
    assert [row.confidence for row in rows] == sorted(row.confidence for row in rows)
    assert {row.answer for row in rows} == {text if len(text) <= TEXT else f"{text[: TEXT - 1]}…" for text in HOSTILE}


def test_categories_over_runs_of_the_same_base_and_probes(full: Report, known: ReportedLake) -> None:
    assert full.diff is not None
    histories = {each.category: each.points for each in full.diff.histories}
    assert sorted(histories) == sorted(CATEGORIES)
    for points in histories.values():
        assert tuple(point.run_id for point in points) == known.sequence
        assert [point.completed_at for point in points] == sorted(point.completed_at for point in points)
    last = histories["code"][-1]
    assert (last.diff_id, last.regressed, last.drop_basis_points, last.significant, last.prior_run_id) == (
        known.diff_id,
        True,
        2600,
        True,
        "sft-5",
    )
    assert histories[HOSTILE_CATEGORY][-1].significant is False
    assert not any(point.regressed for point in histories["factual"])


def test_runs_of_which_something_is_missing(known: ReportedLake, session: Session) -> None:
    failed = read_report(session, known.failed)
    assert (failed.ending, failed.diff, failed.gravity) == ("failed", None, "bad")
    assert failed.error is not None
    assert failed.error.startswith("CUDA out of memory\n")
    running = read_report(session, known.running)
    assert (running.ending, running.ended, running.signals, running.gravity) == ("running", None, (), "neutral")
    unchanged = read_report(session, known.unchanged)
    assert (unchanged.timelines, unchanged.ending, unchanged.started) == ((), "completed", None)
    assert unchanged.ended is not None
    assert "nothing changed" in unchanged.verdict
    awkward = read_report(session, known.awkward)
    assert (awkward.run_id, awkward.project, awkward.timelines[0].total_steps) == ("..", "default", 5)
    improved = read_report(session, known.improved)
    assert (improved.gravity, len(improved.timelines)) == ("good", 1)
    assert improved.diff is not None
    assert improved.diff.layers == ()
    assert len(improved.diff.histories[0].points) == len(known.sequence)


@pytest.mark.parametrize(
    "gone",
    [
        "steps",
        "run_events",
        "signals",
        "runs",
        "model_diff",
        "regressions",
        "sae_layer_diff",
        "sae_feature_diff",
        "calibration_summary",
        "calibration_bins",
        "calibration_topics",
        "low_confidence_rows",
    ],
)
def test_any_table_may_be_missing(known: ReportedLake, tmp_path: Path, gone: str) -> None:
    shutil.copytree(
        known.root, tmp_path / "lake", ignore=lambda folder, names: [gone] if Path(folder) == known.root else []
    )
    with Session(str(tmp_path / "lake")) as session:
        found = read_report(session, known.run)
        assert (found.diff is None) == (gone == "runs")
        assert (found.timelines == ()) == (gone == "steps")
        _ask_all(session, found)


def test_all_numbers_are_finite(known: ReportedLake, session: Session) -> None:
    for run in (known.run, known.failed, known.unchanged):
        # The encoder writes null for what JSON has no number for, and then it would be no Report.
        raw = msgspec.json.encode(read_report(session, run))
        assert msgspec.json.decode(raw, type=Report) == read_report(session, run)
        assert all(math.isfinite(number) for number in _numbers(msgspec.json.decode(raw)))


def _numbers(value: Any) -> list[float]:
    match value:
        case dict():
            return [number for each in value.values() for number in _numbers(each)]
        case list():
            return [number for each in value for number in _numbers(each)]
        case float():
            return [value]
        case _:
            return []


def _ask_all(session: Session, found: Report) -> list[int]:
    """Ask what the findings' commands ask; how many rows each has."""
    counts = []
    for finding in found.findings:
        words = shlex.split(finding.command or "")
        if words[:2] == ["streakline", "query"]:
            counts.append(len(list(session.ask(words[2]).rows)))
    return counts


def test_every_next_step_is_a_command_that_there_is(known: ReportedLake, session: Session) -> None:
    typed = get_command(app)
    for run in (known.run, known.failed, known.improved, known.unchanged, known.other_probes):
        for finding in read_report(session, run, lake="/elsewhere").findings:
            if finding.command is not None:
                program, name, *arguments = shlex.split(finding.command)
                assert program == "streakline"
                with typed.make_context("streakline", [name, *arguments], resilient_parsing=False) as context:
                    _, command, rest = typed.resolve_command(context, [name, *arguments])  # type: ignore[attr-defined]
                    assert command is not None
                    command.make_context(name, rest, parent=context).close()
                assert "--lake" in arguments


def test_every_next_step_finds_something(known: ReportedLake, session: Session) -> None:
    for run in (known.run, known.failed, known.unchanged):
        assert all(_ask_all(session, read_report(session, run)))


def test_next_steps_of_a_lake_with_less_in_it_are_answered_too(tmp_path: Path) -> None:
    write_asked_lake(tmp_path)
    with Session(str(tmp_path)) as session:
        for run in RUNS:
            found = read_report(session, run.name)
            assert found.diff is not None
            assert _ask_all(session, found)


def test_a_run_that_the_lake_does_not_know(session: Session) -> None:
    with pytest.raises(
        RunNotFound, match=r"no run sft-66, but of sft-6, .*: `streakline archive` puts .*`streakline diff`"
    ):
        read_report(session, "sft-66")
    with pytest.raises(RunNotFound, match="no run zzz: `streakline archive`"):
        read_report(session, "zzz")


@pytest.mark.parametrize("run", ["", "it's", "a b", "x" * 129, "é", "a\n"])
def test_what_is_no_run_id(session: Session, run: str) -> None:
    with pytest.raises(QueryError, match="is no run id"):
        read_report(session, run)
