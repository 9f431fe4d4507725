"""Each archived row once, whatever files there are and whenever they come."""

import random
import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producers.events import RunStarted, StepEvent
from tests.regressed import regressed
from workers.archive.files import serialise
from workers.archive.rows import ArchivedEvent, Record, table_of, to_table
from workers.lake.ranges import Range, Series, range_path
from workers.lake.schemas import ARCHIVE_SCHEMAS
from workers.lake.views import views
from workers.lake.writer import Lake

SERIES = Series("streakline.steps", 0, "0a")


def step(offset: int, series: Series = SERIES) -> StepEvent:
    return StepEvent(run_id=f"{series.partition}", step=offset, ts=1.0, loss=2.0, grad_norms={"a": 0.5, "b": None})


def write(root: Path, held: Range, series: Series = SERIES) -> Path:
    """What any writer makes of that range of steps."""
    records = [Record(offset, 5, step(offset, series)) for offset in range(held.first, held.last + 1)]
    data = serialise("steps", [to_table("steps", series.topic, series.partition, records)])
    return Path(Lake(str(root)).write_bytes(range_path("steps", series, held), data))


def query(root: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        connection.execute(views(str(root)))
        return connection.execute(sql).fetchall()


def test_every_table_has_a_view_with_its_columns(tmp_path: Path) -> None:
    events: list[ArchivedEvent] = [step(0), RunStarted(run_id="a", ts=1.0), regressed("a", "math")]
    for event in events:
        table = table_of(event)
        data = serialise(table, [to_table(table, "t", 0, [Record(0, None, event)])])
        Lake(str(tmp_path)).write_bytes(range_path(table, Series("t", 0, "0a"), Range(0, 0)), data)
    with duckdb.connect() as connection:
        connection.execute(views(str(tmp_path)))
        for table, schema in ARCHIVE_SCHEMAS.items():
            found = connection.execute(f"SELECT * FROM {table}")
            assert [column for column, *_ in found.description] == schema.names
            assert len(found.fetchall()) == 1
    assert query(tmp_path, "SELECT grad_norms['a'], map_keys(grad_norms) FROM steps") == [(0.5, ["a", "b"])]
    assert query(tmp_path, "SELECT regression.category FROM signals") == [("math",)]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_ranges_there_are_each_row_is_shown_once(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    expected = set()
    for series in (SERIES, Series("streakline.steps", 1, "0a"), Series("streakline.steps", 0, "0b")):
        for _ in range(6):
            first = rng.randrange(60)
            held = Range(first, first + rng.randrange(30))
            write(tmp_path, held, series)
            expected |= {(series.generation, series.partition, each) for each in range(held.first, held.last + 1)}
    rows = query(tmp_path, 'SELECT partition, "offset" FROM steps ORDER BY ALL')
    assert rows == sorted((partition, offset) for _, partition, offset in expected)


def test_a_zombies_file_never_doubles_a_row_nor_hides_one(tmp_path: Path) -> None:
    write(tmp_path, Range(0, 99))
    ended = threading.Event()

    def zombie() -> None:
        """Writes what is there already, in ever longer files that count before it."""
        for last in range(100, 160):
            write(tmp_path, Range(0, last))
        ended.set()

    thread = threading.Thread(target=zombie)
    thread.start()
    counts = []
    with duckdb.connect() as connection:
        connection.execute(views(str(tmp_path)))
        while not ended.is_set():
            counts.append(connection.execute('SELECT count(*), count(DISTINCT "offset") FROM steps').fetchall()[0])
    thread.join()
    assert counts == sorted(counts)
    assert all(rows == offsets >= 100 for rows, offsets in counts)


def test_what_is_told_twice_is_one_event(tmp_path: Path) -> None:
    started, signal = RunStarted(run_id="a", ts=1.0, project="llm"), regressed("a", "math")
    told: list[tuple[str, ArchivedEvent]] = [("steps", started), ("runs", started), ("x", signal), ("y", signal)]
    for topic, event in told:
        table = table_of(event)
        data = serialise(table, [to_table(table, topic, 0, [Record(0, None, event)])])
        Lake(str(tmp_path)).write_bytes(range_path(table, Series(topic, 0, "0a"), Range(0, 0)), data)
    assert query(tmp_path, "SELECT project FROM run_events") == [("llm",)]
    assert query(tmp_path, "SELECT count(*) FROM signals") == [(1,)]


def test_files_of_other_schemas_are_read_too(tmp_path: Path) -> None:
    older, newer = write(tmp_path, Range(0, 4)), write(tmp_path, Range(5, 9))
    pq.write_table(pq.ParquetFile(older).read().drop_columns(["grad_norms", "epoch"]), older)
    rows = pq.ParquetFile(newer).read()
    pq.write_table(rows.append_column("added", pa.array(["later"] * 5)), newer)
    assert query(tmp_path, "SELECT count(*), count(grad_norms), count(added) FROM steps") == [(10, 5, 5)]


@pytest.mark.parametrize("name", ["o'brien; DROP", "a [b] * ?", "$table", 'say "hi"', "x-00000000000000000000-1"])
def test_any_root_is_read(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, Range(0, 4))
    write(tmp_path / name, Range(3, 6))
    assert query(tmp_path / name, "SELECT count(*) FROM steps") == [(7,)]


def test_half_files_are_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, Range(0, 4))
    path.with_name(f".{path.name}.0123.tmp").write_bytes(path.read_bytes()[:50])
    path.with_name(f".{path.name}").write_bytes(path.read_bytes()[:50])
    assert query(tmp_path, "SELECT count(*) FROM steps") == [(5,)]
