from pathlib import Path

import duckdb
import pytest

from tests.unit.workers.lake.rows import common, some_rows
from workers.lake.paths import compact_name
from workers.lake.schemas import SCHEMAS
from workers.lake.tables import TABLES, BehaviourRow, RegressionRow, RunRow
from workers.lake.views import views
from workers.lake.writer import Lake

NAMES = ["../x", "a/b", "o'brien", ".hidden", "é"]


def count(root: Path, table: str) -> int:
    with duckdb.connect() as connection:
        connection.execute(views(str(root)))
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def write_diff(root: Path, run_id: str, *, project: str = "p", rows: int = 3, diff_id: str = "aa") -> None:
    lake = Lake(str(root))
    lake.write("behaviour_rows", some_rows(BehaviourRow, rows), common(run_id, diff_id, project=project))
    lake.write("runs", some_rows(RunRow, 1), common(run_id, diff_id, project=project))


def test_every_table_has_a_view_with_its_columns(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    for table, kind in TABLES.items():
        lake.write(table, some_rows(kind, 3 if table != "runs" else 1), common())
    with duckdb.connect() as connection:
        connection.execute(views(str(tmp_path)))
        connection.execute(views(str(tmp_path)))
        for table in TABLES:
            columns = [column for column, *_ in connection.execute(f"SELECT * FROM {table}").description]
            assert columns == SCHEMAS[table].names
            assert count(tmp_path, table) == (3 if table != "runs" else 1)


def test_an_empty_lake_has_no_view(tmp_path: Path) -> None:
    assert views(str(tmp_path / "nowhere")) == ""


def test_a_table_without_files_has_no_view(tmp_path: Path) -> None:
    write_diff(tmp_path, "r")
    assert "model_diff" not in views(str(tmp_path))


def test_a_table_without_rows_has_an_empty_view(tmp_path: Path) -> None:
    write_diff(tmp_path, "r", rows=0)
    assert count(tmp_path, "behaviour_rows") == 0


def test_a_diff_without_its_run_is_not_shown(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.write("behaviour_rows", some_rows(BehaviourRow, 3), common("half", "aa"))
    lake.write("regressions", some_rows(RegressionRow, 2), common("half", "aa"))
    assert count(tmp_path, "behaviour_rows") == 0
    write_diff(tmp_path, "whole", rows=2)
    # The same run again, with other weights: another diff.
    lake.write("behaviour_rows", some_rows(BehaviourRow, 3), common("whole", "bb"))
    assert count(tmp_path, "behaviour_rows") == 2
    assert count(tmp_path, "regressions") == 2
    lake.write("runs", some_rows(RunRow, 1), common("half", "aa"))
    assert count(tmp_path, "behaviour_rows") == 5


@pytest.mark.parametrize("project", NAMES)
def test_any_name_is_shown(tmp_path: Path, project: str) -> None:
    for run_id in NAMES:
        write_diff(tmp_path, run_id, project=project)
    with duckdb.connect() as connection:
        connection.execute(views(str(tmp_path)))
        found = connection.execute("SELECT DISTINCT project, run_id FROM behaviour_rows").fetchall()
    assert sorted(found) == sorted((project, run_id) for run_id in NAMES)


def test_the_same_diff_of_two_projects_is_shown_for_both(tmp_path: Path) -> None:
    write_diff(tmp_path, "r", project="p", rows=2)
    write_diff(tmp_path, "r", project="q", rows=3)
    assert count(tmp_path, "behaviour_rows") == 5
    assert count(tmp_path, "runs") == 2


def test_a_diff_in_two_files_is_shown_once(tmp_path: Path) -> None:
    write_diff(tmp_path, "r", rows=3)
    for path in list(tmp_path.rglob("*.parquet")):
        path.with_name(compact_name(1, "0" * 32)).write_bytes(path.read_bytes())
    assert count(tmp_path, "behaviour_rows") == 3
    assert count(tmp_path, "runs") == 1


@pytest.mark.parametrize("run_id", ["a", "z", "compact"])
def test_of_several_files_the_least_compacted_is_shown(tmp_path: Path, run_id: str) -> None:
    for generation, digest in ((2, "0" * 32), (1, "f" * 32), (0, "")):
        write_diff(tmp_path, run_id, rows=generation + 1)
        assert count(tmp_path, "behaviour_rows") == generation + 1
        for path in list(tmp_path.rglob(f"{run_id}-aa.parquet")):
            if generation:
                path.rename(path.with_name(compact_name(generation, digest)))
        assert count(tmp_path, "behaviour_rows") == generation + 1


@pytest.mark.parametrize("name", [".r-aa.parquet.0123.tmp", ".half.parquet"])
def test_hidden_files_are_not_read(tmp_path: Path, name: str) -> None:
    write_diff(tmp_path, "r")
    for path in list(tmp_path.rglob("*.parquet")):
        path.with_name(name).write_bytes(path.read_bytes()[:50])
    assert count(tmp_path, "behaviour_rows") == 3


@pytest.mark.parametrize("name", ["o'brien; DROP", "a [b] * ?", "é", "$table", 'say "hi"'])
def test_any_root_is_read(tmp_path: Path, name: str) -> None:
    write_diff(tmp_path / name, "r")
    assert count(tmp_path / name, "behaviour_rows") == 3


def test_files_with_fewer_columns_are_read_too(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write_diff(tmp_path, "r", rows=3)
    (path,) = (tmp_path / "behaviour_rows").rglob("*.parquet")
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["text"]), path)
    write_diff(tmp_path, "s", rows=2)
    assert count(tmp_path, "behaviour_rows") == 5
