"""A run that is forgotten is in no file, and all others say what they said."""

from pathlib import Path

import pytest

from tests.asked_lake import RUNS, write_asked_lake
from workers.archive.compact import compact_archive
from workers.forget import forget
from workers.lake.compact import compact
from workers.lake.session import Session

NOW = 2e9
Rows = dict[str, list[tuple[object, ...]]]


def rows_of(root: Path) -> Rows:
    with Session(str(root)) as session:
        return {table: sorted(session.ask(f"SELECT * FROM {table}").rows, key=repr) for table in session.tables()}


def runs_in(root: Path) -> set[object]:
    with Session(str(root)) as session:
        return {row[0] for table in session.tables() for row in session.ask(f"SELECT run_id FROM {table}").rows}


@pytest.mark.parametrize("is_compacted", [False, True])
def test_of_a_run_nothing_is_left_and_of_the_others_all(is_compacted: bool, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    write_asked_lake(root)
    if is_compacted:
        # What was merged stays beside the merged file for a while.
        assert compact(str(root), min_files=2, now=NOW)
    before = rows_of(root)
    assert "sft-3" in runs_in(root)
    changed = forget(str(root), "sft-3")
    expected = {table: [row for row in rows if "sft-3" not in row[:8]] for table, rows in before.items()}
    assert rows_of(root) == {table: rows for table, rows in expected.items() if rows}
    assert runs_in(root) == {*(run.name for run in RUNS), "failed-1"} - {"sft-3"}
    assert not [path for path in root.rglob("*.parquet") if path.name.startswith("sft-3-")]
    assert len(changed) > 10
    assert forget(str(root), "sft-3") == []


def test_what_is_merged_later_does_not_bring_it_back(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    write_asked_lake(root)
    compact(str(root), min_files=2, now=NOW)
    forget(str(root), "sft-3")
    before = rows_of(root)
    for grace in (1e12, 0.0):
        compact(str(root), min_files=2, grace_seconds=grace, now=NOW)
        compact_archive(str(root), {}, grace_seconds=grace, now=NOW)
        assert rows_of(root) == before


def test_what_is_no_parquet_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "runs" / "v=1" / "project=p" / "dt=2026-01-01" / "r-0.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="is not a Parquet file"):
        forget(str(tmp_path), "r")
