import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.unit.workers.lake.rows import common, some_rows
from workers.lake.compact import compact
from workers.lake.session import BATCH_ROWS, Column, Session
from workers.lake.statements import QueryError, UnfinishedSql
from workers.lake.tables import ModelDiffRow, RunRow
from workers.lake.writer import Lake


def write(root: Path, *names: str) -> None:
    for name in names:
        Lake(str(root)).write("runs", some_rows(RunRow, 1), common(name))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write(tmp_path / "lake", "a", "b")
    return tmp_path / "lake"


@pytest.fixture
def session(lake: Path) -> Iterator[Session]:
    with Session(str(lake)) as opened:
        yield opened


def rows(session: Session, sql: str) -> list[tuple[Any, ...]]:
    return list(session.ask(sql).rows)


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_an_answer_has_columns_and_rows(session: Session) -> None:
    answer = session.ask("SELECT run_id, 1.5::DECIMAL(3, 1) AS run_id, length(run_id) AS n FROM runs ORDER BY ALL")
    assert answer.columns == (Column("run_id", False), Column("run_id_1", True), Column("n", True))
    assert [(name, n) for name, _, n in answer.rows] == [("a", 1), ("b", 1)]


@pytest.mark.parametrize("count", [0, 1, BATCH_ROWS, BATCH_ROWS + 1, 5 * BATCH_ROWS])
def test_every_row_is_there(session: Session, count: int) -> None:
    sql = f"SELECT range AS n FROM range({count})"
    assert rows(session, sql) == [(n,) for n in range(count)]
    tables = list(session.ask_arrow(sql))
    assert tables[0].schema.names == ["n"]
    assert [n for table in tables for n in table["n"].to_pylist()] == list(range(count))


def test_a_question_may_be_dropped_for_the_next(session: Session) -> None:
    assert next(session.ask("FROM range(1_000_000)").rows) == (0,)
    assert next(session.ask_arrow("FROM range(1_000_000)")).num_rows > 0
    assert rows(session, "SELECT 1") == [(1,)]


def test_what_is_made_lasts_as_long_as_the_session(session: Session, lake: Path) -> None:
    before = files(lake)
    assert rows(session, "CREATE TABLE t AS SELECT 1 AS x; INSERT INTO t VALUES (2); SELECT sum(x) FROM t") == [(3,)]
    assert rows(session, "CREATE MACRO twice(x) AS 2 * x; SELECT twice(4)") == [(8,)]
    assert rows(session, "SET VARIABLE v = 7; SELECT getvariable('v')") == [(7,)]
    assert rows(session, "PIVOT (SELECT run_id, 1 AS one FROM runs) ON run_id USING sum(one)") == [(1, 1)]
    assert "t" in session.tables()
    assert files(lake) == before


def test_new_files_are_seen_at_once_and_new_tables_after_a_refresh(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.write("model_diff", some_rows(ModelDiffRow, 3), common("a"))
    with Session(str(tmp_path)) as session:
        # It is being written: its `runs` comes last.
        assert rows(session, "SELECT * FROM model_diff") == []
        write(tmp_path, "a")
        with pytest.raises(QueryError, match=r"runs does not exist: there are model_diff$"):
            session.ask("FROM runs")
        assert rows(session, "CREATE TABLE kept AS SELECT 1 AS x; SELECT x FROM kept") == [(1,)]
        session.refresh()
        assert rows(session, "SELECT run_id, count(*) FROM model_diff GROUP BY run_id") == [("a", 3)]
        assert rows(session, "SELECT run_id FROM runs") == [("a",)]
        assert session.tables() == ["kept", "model_diff", "runs"]
        write(tmp_path, "b")
        assert rows(session, "SELECT run_id FROM runs ORDER BY ALL") == [("a",), ("b",)]
        shutil.rmtree(tmp_path)
        session.refresh()
        assert session.tables() == ["kept", "model_diff", "runs"]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{}/x.parquet'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{}/x.parquet'",
        "SELECT 1; COPY runs TO '{}/x.csv'",
        "EXPORT DATABASE '{}'",
        "ATTACH '{}/x.db'",
        "PREPARE p AS COPY (SELECT 1) TO '{}/x.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "UPDATE EXTENSIONS",
    ],
)
def test_nothing_is_written_or_fetched(session: Session, lake: Path, sql: str) -> None:
    before = files(lake)
    with pytest.raises(QueryError, match="is not done here, for the lake is only read: -o FILE keeps an answer"):
        session.ask(sql.format(lake))
    assert files(lake) == before


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_text('{}')",
        "FROM read_csv('{}')",
        "FROM '{}'",
        "FROM read_text('lake/../{}')",
        "FROM glob('/etc/*')",
        "SET enable_external_access = true",
        "SET autoinstall_known_extensions = true",
        "FROM read_parquet('https://example.com/x.parquet')",
    ],
)
def test_nothing_but_the_lake_is_read(session: Session, tmp_path: Path, sql: str) -> None:
    (tmp_path / "other.csv").write_text("a\n1\n")
    (tmp_path / "lake2").mkdir()
    with pytest.raises(QueryError):
        list(session.ask(sql.format(tmp_path / "other.csv")).rows)


def test_a_folder_beside_the_lake_is_not_the_lake(session: Session, tmp_path: Path) -> None:
    (tmp_path / "lake2").mkdir()
    (tmp_path / "lake2" / "x.csv").write_text("a\n1\n")
    with pytest.raises(QueryError, match="Permission"):
        session.ask(f"FROM '{tmp_path}/lake2/x.csv'")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC 1", 'Parser Error: syntax error at or near "SELEC"'),
        ("SELECT 1,\n\n  nope FROM runs", r"Binder Error: .*nope.* \(line 3\)"),
        ("FROM model_diff", "Table with name model_diff does not exist: there are runs$"),
        ("SELECT error('boom')", "Invalid Input Error: boom"),
        ("SELECT 'a'::INT", "Conversion Error"),
        ("SELECT $1", "parameter"),
        ("", "there is no SQL in it"),
        ("-- only this", "there is no SQL in it"),
    ],
)
def test_a_mistake_is_one_line(session: Session, sql: str, said: str) -> None:
    with pytest.raises(QueryError, match=said) as raised:
        session.ask(sql)
    assert "\n" not in str(raised.value)
    assert rows(session, "SELECT 1") == [(1,)]


def test_a_mistake_far_behind_is_told_of_too(session: Session) -> None:
    answer = session.ask("SELECT CASE WHEN range > 2_000_000 THEN error('boom') END FROM range(3_000_000)")
    with pytest.raises(QueryError, match="boom"):
        list(answer.rows)


@pytest.mark.parametrize("sql", ["SELECT 'a", 'SELECT "a', "SELECT 1 /* a"])
def test_sql_that_goes_on_is_told_from_a_mistake(session: Session, sql: str) -> None:
    with pytest.raises(UnfinishedSql):
        session.ask(sql)


def test_only_an_answer_can_be_had_as_parquet(session: Session) -> None:
    with pytest.raises(QueryError, match="only the answer to a SELECT"):
        session.ask_arrow("CREATE TABLE t AS SELECT 1")


@pytest.mark.parametrize("root", ["nowhere", "empty"])
def test_a_lake_without_tables_is_one_sentence(tmp_path: Path, root: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(QueryError, match="has no table yet: `streakline diff`, diff workers and"):
        Session(str(tmp_path / root))


def test_a_file_that_is_no_parquet_is_named(lake: Path) -> None:
    (path, *_) = sorted(lake.rglob("*.parquet"))
    path.write_bytes(b"nonsense" * 9)
    with pytest.raises(QueryError, match=f"{path.name}"), Session(str(lake)) as session:
        session.ask("FROM runs")


class Interfering:
    """Between the question and its answer the lake changes, once."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, change: Any) -> None:
        self._connection = connection
        self._change = change
        self.asked = 0

    def execute(self, sql: Any) -> Any:
        self.asked += 1
        if self.asked == 1:
            self._change()
            raise duckdb.IOException("IO Error: Cannot open file: No such file or directory")
        return self._connection.execute(sql)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_a_question_that_meets_a_compaction_is_asked_again(lake: Path) -> None:
    def clear() -> None:
        for _ in range(2):
            compact(str(lake), min_files=2, now=time.time(), grace_seconds=-60)

    with Session(str(lake)) as session:
        before = rows(session, "SELECT * FROM runs ORDER BY run_id")
        connection = Interfering(session._connection, clear)
        session._connection = connection  # type: ignore[assignment]
        assert rows(session, "SELECT * FROM runs ORDER BY run_id") == before
        assert connection.asked == 2
    assert [path.name.partition("-")[0] for path in lake.rglob("*.parquet")] == ["compact"]


def test_files_that_stay_away_are_one_sentence_with_the_remedy(lake: Path, session: Session) -> None:
    shutil.rmtree(lake / "runs")
    with pytest.raises(QueryError, match="run it again, files may have been merged meanwhile"):
        list(session.ask("FROM runs").rows)


@pytest.mark.parametrize("name", ["o'brien", "a [b] * ?", "é"])
def test_any_root_can_be_asked(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "a")
    with Session(str(tmp_path / name)) as session:
        assert rows(session, "SELECT run_id FROM runs") == [("a",)]


def test_a_lake_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a local folder"):
        Session("mock://bucket/lake")


def test_ctrl_c_drops_the_question_and_the_next_is_answered(session: Session) -> None:
    endless = "SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b WHERE a.range * b.range = 3"
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        session.ask(endless)
    assert time.monotonic() - started < 60
    assert rows(session, "SELECT 1") == [(1,)]


def test_times_are_in_utc(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    ((shown,),) = rows(session, "SELECT strftime(created_at, '%Y-%m-%d %H:%M') FROM runs LIMIT 1")
    assert shown == "2026-01-31 10:00"
