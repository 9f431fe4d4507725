"""A report is read from few files, and says what it would say were all of them read."""

import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from streakline.report.asking import Asked
from streakline.report.content import Report
from streakline.report.life import life_of
from streakline.report.reading import _read, read_report
from tests.asked_lake import RUNS, write_asked_lake, write_diff
from tests.reported_lake import write
from workers.archive.compact import compact_archive
from workers.lake.compact import compact
from workers.lake.session import Session
from workers.lake.views import Within
from workers.lake.writer import Lake

HOSTILE = ("compact", "compact-x", "50%", "a*[b]?", "o'brien", "..", "a/b", "x" * 200)


class _Wide(Asked):
    def narrow(self, within: Within, tables: Iterable[str]) -> None:
        """All tables are there already, whole."""


def _wide(root: Path, run_id: str, project: str | None = None) -> Report:
    with Session(str(root)) as session:
        asked = _Wide(session)
        return _read(asked, life_of(asked, run_id, project, session), None)


def _narrow(root: Path, run_id: str, project: str | None = None) -> Report:
    with Session(str(root)) as session:
        return read_report(session, run_id, project=project)


def _compact(root: Path, at: float) -> None:
    compact(str(root), min_files=2, now=at)
    compact_archive(str(root), {"streakline.steps": "steps"}, now=at)


def test_it_says_the_same_before_within_and_after_compaction(tmp_path: Path) -> None:
    known = write(tmp_path / "reported")
    write_asked_lake(tmp_path / "asked")
    runs = [(tmp_path / "asked", run.name) for run in RUNS] + [
        (known.root, run) for run in (*known.sequence, known.failed, known.running, known.unchanged, known.awkward)
    ]
    before = {run: _wide(*run) for run in runs}
    now = time.time()
    assert {run: _narrow(*run) for run in runs} == before
    for at in (now, now + 7200):
        for root in (known.root, tmp_path / "asked"):
            _compact(root, at)
        assert {run: _narrow(*run) for run in runs} == before


@pytest.mark.parametrize("project", HOSTILE)
def test_any_project_is_found(tmp_path: Path, project: str) -> None:
    _write_run(tmp_path, "r", project)
    _write_run(tmp_path, "r", "p")
    before = _wide(tmp_path, "r", project)
    assert before.diff is not None
    now = time.time()
    assert _narrow(tmp_path, "r", project) == before
    for at in (now, now + 7200):
        _compact(tmp_path, at)
        assert _narrow(tmp_path, "r", project) == before


@pytest.mark.parametrize("run_id", ["compact", "compact-x", "a/b", "..", "r-1", ":" * 30])
def test_any_run_is_found(tmp_path: Path, run_id: str) -> None:
    for each in (run_id, f"{run_id[:100]}-1", "r"):
        _write_run(tmp_path, each, "p")
    before = _wide(tmp_path, run_id)
    assert before.diff is not None
    assert len(before.diff.histories[0].points) == 3
    now = time.time()
    assert _narrow(tmp_path, run_id) == before
    for at in (now, now + 7200):
        _compact(tmp_path, at)
        assert _narrow(tmp_path, run_id) == before


def test_a_diff_that_is_not_whole_is_not_shown(tmp_path: Path) -> None:
    write_asked_lake(tmp_path)
    for path in (tmp_path / "runs").rglob("sft-3-*.parquet"):
        path.unlink()
    assert _narrow(tmp_path, "sft-3").diff is None


def test_files_of_other_projects_are_not_opened(tmp_path: Path) -> None:
    write_asked_lake(tmp_path)
    expected = _narrow(tmp_path, "sft-3")
    for path in tmp_path.rglob("other-2-*.parquet"):
        path.write_bytes(b"no Parquet")
    assert _narrow(tmp_path, "sft-3") == expected


def _write_run(root: Path, run_id: str, project: str) -> None:

    write_diff(Lake(str(root)), msgspec.structs.replace(RUNS[2], name=run_id, project=project))
