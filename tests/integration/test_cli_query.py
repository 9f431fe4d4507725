"""`streakline query`: every form of an answer, and how it fails."""

import csv
import json
import os
import pty
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.asked_lake import write_asked_lake
from tests.commands import COMMAND, Ended, streakline

RUNS = "SELECT run_id, steps, created_at FROM runs ORDER BY run_id"
EVERYTHING = (
    "SELECT 1 AS n, 'a,\"b' AS s, NULL AS z, 'nan'::DOUBLE AS nan, '-inf'::DOUBLE AS inf, 0.1 + 0.2::DOUBLE AS f, "
    "1.50::DECIMAL(5, 2) AS d, 2::HUGEINT ** 70 AS p, true AS b, TIMESTAMPTZ '2026-01-01 12:00:00+02' AS t, "
    "DATE '2026-01-01' AS day, [1, NULL] AS l, {'x': 1} AS o, MAP {'k': 2} AS m, 'x'::BLOB AS raw"
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lake")
    write_asked_lake(root)
    return root


def query(lake: Path, sql: str, *options: str | Path, stdin: str = "") -> Ended:
    return streakline("query", sql, *options, environ={"STREAKLINE_LAKE": str(lake)}, stdin=stdin.encode())


def test_a_table_for_people(lake: Path) -> None:
    ended = query(lake, f"{RUNS} LIMIT 2")
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines == [
        "run_id   steps  created_at",
        "other-2    201  2026-01-04 01:00:00Z",
        "sft-1      201  2026-01-01 01:00:00Z",
    ]


def test_sql_may_come_through_a_pipe(lake: Path) -> None:
    assert query(lake, "-", stdin="SELECT 1 AS one;\nSELECT\n2 AS two").lines == ["two", "  2"]


def test_values_of_every_kind_in_every_form(lake: Path) -> None:
    (row,) = query(lake, EVERYTHING, "--format", "jsonl").lines
    assert json.loads(row) == {
        "n": 1,
        "s": 'a,"b',
        "z": None,
        "nan": None,
        "inf": None,
        "f": 0.1 + 0.2,
        "d": 1.5,
        "p": 2**70,
        "b": True,
        "t": "2026-01-01T10:00:00Z",
        "day": "2026-01-01",
        "l": [1, None],
        "o": {"x": 1},
        "m": {"k": 2},
        "raw": "eA==",
    }
    assert json.loads(query(lake, EVERYTHING, "--format", "json").out) == [json.loads(row)]
    names, values = csv.reader(query(lake, EVERYTHING, "--format", "csv").lines)
    assert dict(zip(names, values, strict=True)) == {
        "n": "1",
        "s": 'a,"b',
        "z": "",
        "nan": "nan",
        "inf": "-inf",
        "f": "0.30000000000000004",
        "d": "1.50",
        "p": "1.1805916207174113e+21",
        "b": "true",
        "t": "2026-01-01 10:00:00Z",
        "day": "2026-01-01",
        "l": "[1,null]",
        "o": '{"x":1}',
        "m": '{"k":2}',
        "raw": "eA==",
    }
    _, shown = query(lake, EVERYTHING).lines
    assert shown.split()[2:6] == ["NULL", "nan", "-inf", "0.3"]


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl", "a.parquet", "a.txt", "A.CSV"])
def test_the_name_of_the_file_says_the_format(lake: Path, tmp_path: Path, name: str) -> None:
    ended = query(lake, RUNS, "-o", tmp_path / name)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if name.endswith(".parquet"):
        table = pq.read_table(tmp_path / name)
        assert table["run_id"].to_pylist() == ["other-2", "sft-1", "sft-2", "sft-3", "sft-4"]
        assert str(table.schema.field("created_at").type) == "timestamp[us, tz=UTC]"
        return
    text = (tmp_path / name).read_text()
    form = {"csv": "csv", "json": "json", "jsonl": "jsonl", "txt": "table"}[name[2:].lower()]
    assert text == query(lake, RUNS, "--format", form).out


def test_the_environment_may_say_the_format(lake: Path) -> None:
    environ = {"STREAKLINE_LAKE": str(lake), "STREAKLINE_QUERY_FORMAT": "csv"}
    assert streakline("query", "SELECT 1 AS a, 2 AS b", environ=environ).lines == ["a,b", "1,2"]


def test_an_answer_without_rows_is_one_too(lake: Path, tmp_path: Path) -> None:
    none = f"SELECT * FROM ({RUNS}) WHERE false"
    assert query(lake, none).lines == ["run_id  steps  created_at"]
    assert query(lake, none, "--format", "csv").lines == ["run_id,steps,created_at"]
    assert query(lake, none, "--format", "json").out == "[]\n"
    assert query(lake, none, "--format", "jsonl").out == ""
    assert query(lake, none, "-o", tmp_path / "a.parquet").code == 0
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 0


def test_a_table_is_cut_and_says_so(lake: Path) -> None:
    sql = "SELECT range AS n, repeat('long ', 100) AS text FROM range(300)"
    ended = query(lake, sql)
    assert len(ended.lines) == 1 + 100
    assert ended.err == ("the first 100 rows: --rows 0 shows all, -o FILE.csv (.json, .jsonl, .parquet) keeps them\n")
    assert max(map(len, ended.lines)) == len(" n  ") + 80
    assert all(line.endswith("…") for line in ended.lines[1:])
    assert len(query(lake, sql, "--rows", "0").lines) == 301
    assert query(lake, sql, "--rows", "300").err == ""
    assert len(query(lake, sql, "--format", "csv").lines) == 301


def test_a_terminal_gets_the_columns_that_fit(lake: Path) -> None:
    terminal, theirs = pty.openpty()
    environ = {**os.environ, "COLUMNS": "60", "TERM": "xterm", "STREAKLINE_LAKE": str(lake)}
    ended = subprocess.run(
        [*COMMAND, "query", "SELECT * FROM runs"], stdout=theirs, stderr=subprocess.PIPE, env=environ, check=True
    )
    os.close(theirs)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert "project" in shown
    assert "checkpoint" not in shown
    assert b"columns of 25, for want of room: SELECT fewer, or --format jsonl" in ended.stderr


def test_what_a_run_is_called_is_shown_and_not_obeyed(lake: Path) -> None:
    ended = query(lake, r"SELECT E'x\x1b[2J\n' AS evil, 1 AS " + '"\x1b[2J"')
    assert "\x1b" not in ended.out
    assert r"x\x1b[2J\n" in ended.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["SELEC"], 1, 'streakline: Parser Error: syntax error at or near "SELEC"\n'),
        (["COPY runs TO 'x'"], 1, "streakline: COPY is not done here, for the lake is only read: -o FILE keeps an an"),
        (["FROM runs", "--lake", "nowhere"], 1, "streakline: the lake nowhere has no table yet: `streakline diff`"),
        (["FROM runs", "--lake", "nonsense://x"], 2, "streakline: the lake cannot be asked: The lake 'nonsense://x'"),
        (["FROM runs", "--format", "parquet"], 2, "streakline: Parquet is nothing for a stream: name a file with -o\n"),
        (["FROM runs", "--format", "xml"], 2, "streakline: Invalid value"),
        (["FROM runs", "-o", "nowhere/a.csv"], 1, "streakline: cannot write nowhere/a.csv (No such file or directory)"),
        (["FROM runs", "-o", "nowhere/a.parquet"], 1, "streakline: cannot write nowhere/a.parquet (No such file"),
    ],
)
def test_what_is_wrong_is_one_sentence(lake: Path, arguments: list[str], code: int, said: str) -> None:
    ended = query(lake, arguments[0], *arguments[1:])
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(said)
    assert ended.err.count("\n") == 1


def test_a_mistake_leaves_what_was_kept_before(lake: Path, tmp_path: Path) -> None:
    late = "SELECT CASE WHEN range > 200_000 THEN error('boom') END AS x FROM range(300_000)"
    for name, sql in (("a.csv", "FROM nope"), ("a.parquet", "FROM nope"), ("b.parquet", late)):
        (tmp_path / name).write_text("before")
        assert query(lake, sql, "-o", tmp_path / name).code == 1
        assert (tmp_path / name).read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "a.parquet", "b.parquet"}


def test_without_duckdb_it_says_what_to_install(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streakline import extras

    monkeypatch.setattr(extras, "_QUERIES", ("no_such_module",))
    ended = query(lake, "FROM runs")
    assert ended.code == 2
    assert ended.err == (
        "streakline: a query needs more than is installed (no_such_module): pip install 'streakline[workers]'\n"
    )


def test_a_reader_that_leaves_is_no_failure(lake: Path) -> None:
    command = " ".join([*COMMAND, "query", "'FROM range(1_000_000)'", "--format", "csv", "--lake", str(lake)])
    ended = subprocess.run(
        ["bash", "-c", f"{command} | head -2; exit ${{PIPESTATUS[0]}}"], capture_output=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (141, b"range\n0\n", b"")
