"""Few files of the archive from many: every row once at every moment, whatever else is written, read or killed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producers.events import RunStarted, StepEvent
from workers.archive import compact as compacting
from workers.archive.compact import compact_archive
from workers.archive.files import ROW_GROUP_ROWS, serialise
from workers.archive.reading import ArchivedSteps
from workers.archive.rows import ArchivedEvent, Record, table_of, to_table
from workers.lake.compact import Done
from workers.lake.ranges import Range, Series, range_path
from workers.lake.views import views
from workers.lake.writer import Lake

TOPIC = "streakline.steps"
SERIES = Series(TOPIC, 0, "0a")
MARKERS = {TOPIC: "steps"}
NOW = 2_000_000_000.0
LATER = NOW + 4000.0


def event(offset: int) -> ArchivedEvent:
    """What the topic has at this offset: the life of runs every 50 records, steps otherwise."""
    run_id = f"run-{offset * 7919 % 5}"
    if offset % 50 == 0:
        return RunStarted(run_id=run_id, ts=float(offset))
    return StepEvent(run_id=run_id, step=offset, ts=1.0, loss=2.0, grad_norms={"a": 0.5, "b": None})


def bytes_of(table: str, held: Range, series: Series = SERIES) -> bytes:
    records = [Record(offset, 5, event(offset)) for offset in range(held.first, held.last + 1)]
    own = [record for record in records if table_of(record.event) == table]
    return serialise(table, [to_table(table, series.topic, series.partition, own)])


def write(root: Path, first: int, last: int, series: Series = SERIES) -> None:
    """What any archiver makes of that range."""
    held, lake = Range(first, last), Lake(str(root))
    if any(offset % 50 == 0 for offset in range(first, last + 1)):
        lake.write_bytes(range_path("run_events", series, held), bytes_of("run_events", held, series))
    lake.write_bytes(range_path("steps", series, held), bytes_of("steps", held, series))


def shown(root: Path) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Partition and offset of each row, of steps and of run events."""
    with duckdb.connect() as connection:
        connection.execute(views(str(root)))
        return tuple(  # type: ignore[return-value]
            connection.execute(f'SELECT partition, "offset" FROM {table} ORDER BY ALL').fetchall()
            for table in ("steps", "run_events")
        )


def ranges(root: Path, table: str = "steps") -> list[tuple[int, int]]:
    names = sorted(path.stem.split("-") for path in (root / table).rglob("[!.]*.parquet"))
    return [(int(parts[-2]), int(parts[-1])) for parts in names]


def compact(root: Path, now: float = NOW, grace_seconds: float = 3600.0) -> list[Done]:
    """As the command does; what it writes gets the age that `now` says."""
    before = {path: path.stat().st_ino for path in root.rglob("*.parquet")}
    done = compact_archive(str(root), MARKERS, grace_seconds=grace_seconds, now=now)
    for path in root.rglob("*.parquet"):
        if before.get(path) != path.stat().st_ino:
            os.utime(path, (now, now))
    return done


def test_many_files_become_one_and_go_an_hour_later(tmp_path: Path) -> None:
    for first in range(0, 500, 10):
        write(tmp_path, first, first + 9)
    before = shown(tmp_path)
    done = compact(tmp_path)
    assert [(each.action, len(each.names)) for each in done] == [("compacted", 50), ("compacted", 10)]
    assert (0, 499) in ranges(tmp_path)
    assert len(ranges(tmp_path)) == 51
    assert (0, 459) in ranges(tmp_path, "run_events"), "no other record of the topic is one"
    assert shown(tmp_path) == before
    assert compact(tmp_path, NOW + 3599) == []
    done = compact(tmp_path, LATER)
    assert [(each.action, len(each.names)) for each in done] == [("deleted", 50), ("deleted", 10)]
    assert ranges(tmp_path) == [(0, 499)]
    assert shown(tmp_path) == before
    assert compact(tmp_path, LATER) == []


def test_what_is_merged_is_what_an_archiver_would_have_written(tmp_path: Path) -> None:
    for first in range(0, 90, 30):
        write(tmp_path, first, first + 29)
    compact(tmp_path)
    for table, last in (("steps", 89), ("run_events", 59)):
        held = Range(0, last)
        assert (tmp_path / range_path(table, SERIES, held)).read_bytes() == bytes_of(table, held)


def test_rows_are_sorted_and_in_small_row_groups(tmp_path: Path) -> None:
    size = ROW_GROUP_ROWS
    for first in range(0, 2 * size, size):
        write(tmp_path, first, first + size - 1)
    compact(tmp_path)
    file = pq.ParquetFile(tmp_path / range_path("steps", SERIES, Range(0, 2 * size - 1)))
    assert file.metadata.row_group(0).num_rows == size
    rows = file.read(columns=["run_id", "offset"]).to_pylist()
    assert rows == sorted(rows, key=lambda row: (row["run_id"], row["offset"]))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_ranges_there_are_each_row_is_shown_once(tmp_path: Path, seed: int) -> None:
    """Overlapping, covering, with gaps; compacted as more come; nothing but time makes a difference to what is seen."""
    rng = random.Random(seed)
    now, expected = NOW, set()
    series = [SERIES, Series(TOPIC, 1, "0a"), Series(TOPIC, 0, "0b")]
    for _ in range(5):
        for each in series:
            for _ in range(4):
                first = rng.randrange(300)
                last = first + rng.randrange(90)
                write(tmp_path, first, last, each)
                expected |= {(each, offset) for offset in range(first, last + 1)}
        steps = sorted((each.partition, offset) for each, offset in expected if offset % 50)
        assert shown(tmp_path)[0] == steps
        now += rng.choice((0.0, 4000.0))
        compact(tmp_path, now)
        assert shown(tmp_path)[0] == steps
    compact(tmp_path, now + 4000)
    compact(tmp_path, now + 8000)
    assert shown(tmp_path)[0] == steps
    read = [each for part in ArchivedSteps(str(tmp_path), TOPIC).partitions() for each in part]
    assert sorted(each.step for each in read if isinstance(each, StepEvent)) == sorted(offset for _, offset in steps)
    settled = ranges(tmp_path)
    assert compact(tmp_path, now + 12_000) == []
    assert ranges(tmp_path) == settled


def test_a_gap_that_nobody_has_read_is_not_bridged(tmp_path: Path) -> None:
    write(tmp_path, 0, 99)
    write(tmp_path, 150, 249)
    # An archiver died between the two: of what is in the gap only the table's own rows are there.
    held = Range(110, 119)
    Lake(str(tmp_path)).write_bytes(range_path("run_events", SERIES, held), bytes_of("run_events", held))
    assert compact(tmp_path) == []
    write(tmp_path, 100, 149)
    before = shown(tmp_path)
    compact(tmp_path)
    compact(tmp_path, LATER)
    assert ranges(tmp_path) == [(0, 249)]
    assert ranges(tmp_path, "run_events") == [(0, 249)]
    assert shown(tmp_path) == before


def test_of_a_topic_that_is_not_known_only_files_that_adjoin_are_merged(tmp_path: Path) -> None:
    for first in range(0, 200, 25):
        write(tmp_path, first, first + 24)
    compact_archive(str(tmp_path), {}, now=NOW)
    assert (0, 199) in ranges(tmp_path)
    assert ranges(tmp_path, "run_events") == [(0, 24), (50, 74), (100, 124), (150, 174)]


def test_large_files_are_left_and_what_is_merged_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for first in range(0, 400, 20):
        write(tmp_path, first, first + 19)
    size = compacting._size(tmp_path / range_path("steps", SERIES, Range(20, 39)))
    monkeypatch.setattr(compacting, "SMALL_BYTES", int(1.5 * size))
    monkeypatch.setattr(compacting, "BATCH_BYTES", int(5.5 * size))
    before = shown(tmp_path)
    compact(tmp_path)
    compact(tmp_path, LATER)
    assert ranges(tmp_path) == [(0, 99), (100, 199), (200, 299), (300, 399)]
    write(tmp_path, 400, 419)
    compact(tmp_path, LATER)
    assert ranges(tmp_path)[-1] == (400, 419)
    # However little room it takes: columns that compress well are large in memory.
    monkeypatch.setattr(compacting, "BATCH_BYTES", 2**30)
    monkeypatch.setattr(compacting, "MEMORY_BYTES", 1)
    write(tmp_path, 420, 439)
    compact(tmp_path, LATER)
    assert ranges(tmp_path)[-2:] == [(400, 419), (420, 439)]
    monkeypatch.undo()
    compact(tmp_path, LATER)
    assert (0, 439) in ranges(tmp_path)
    assert shown(tmp_path)[0][: len(before[0])] == before[0]


def test_a_column_that_came_later_is_null_before_and_one_that_is_not_known_is_kept(tmp_path: Path) -> None:
    for first in (0, 10, 20):
        write(tmp_path, first, first + 9)
    older, _, newer = sorted((tmp_path / "steps").rglob("*.parquet"))
    pq.write_table(pq.ParquetFile(older).read().drop_columns(["grad_norms", "attempt"]), older)
    rows = pq.ParquetFile(newer).read()
    pq.write_table(rows.append_column("added", pa.array(["later"] * 10)), newer)
    compact(tmp_path)
    compact(tmp_path, LATER)
    with duckdb.connect() as connection:
        connection.execute(views(str(tmp_path)))
        found = connection.execute("SELECT count(*), count(grad_norms), count(attempt), count(added) FROM steps")
        assert found.fetchall() == [(29, 20, 20, 10)]
    (path,) = (tmp_path / "steps").rglob("*.parquet")
    assert path.name.endswith(f"-{0:020}-{29:020}.parquet")


def test_what_is_no_parquet_file_is_named_and_nothing_goes_for_its_sake(tmp_path: Path) -> None:
    write(tmp_path, 0, 9)
    cover = tmp_path / range_path("steps", SERIES, Range(0, 19))
    cover.write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match=rf"{cover.name} is not a Parquet file"):
        compact(tmp_path, time.time() + 9000)
    assert ranges(tmp_path) == [(0, 19), (0, 9)] or ranges(tmp_path) == [(0, 9), (0, 19)]
    with pytest.raises(ValueError, match=r"is not a Parquet file"):
        compact(tmp_path)


def test_only_a_local_folder_and_only_the_archives_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a local folder"):
        compact_archive("mock:///lake", MARKERS, now=NOW)
    write(tmp_path, 0, 9)
    place = next((tmp_path / "steps").rglob("topic=*"))
    (place / "notes.parquet").write_bytes(b"somebody else's")
    (place / ".half.parquet").write_bytes(b"")
    assert compact(tmp_path) == []


class KilledError(BaseException):
    """Stands in for a process that ends here."""


@pytest.mark.parametrize("steps", range(14))
def test_killed_anywhere_nothing_is_lost_or_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    for first in range(0, 200, 25):
        write(tmp_path, first, first + 24)
    write(tmp_path, 10, 60)
    before = shown(tmp_path)
    left = steps

    def twice() -> None:
        for now in (NOW, LATER):
            compact(tmp_path, now)

    def mortal(do: Callable[..., None]) -> Callable[..., None]:
        def step(*arguments: object, **options: object) -> None:
            nonlocal left
            if left == 0:
                raise KilledError
            left -= 1
            do(*arguments, **options)

        return step

    with monkeypatch.context() as patched:
        # 2 files to write, then 9 and 5 to delete; one is covered before.
        patched.setattr("workers.lake.durable.os.replace", mortal(os.replace))
        patched.setattr("workers.archive.compact.Path.unlink", mortal(Path.unlink))
        with pytest.raises(KilledError):
            twice()
    assert shown(tmp_path) == before
    for now in (LATER, LATER + 4000, LATER + 8000):
        compact(tmp_path, now)
        assert shown(tmp_path) == before
    assert ranges(tmp_path) == ranges(tmp_path, "run_events") == [(0, 199)] or ranges(tmp_path) == [(0, 199)]


ENDLESS = """
import sys, time
from workers.archive.compact import compact_archive
print("ready", flush=True)
while True:
    compact_archive(sys.argv[1], {"streakline.steps": "steps"}, grace_seconds=float(sys.argv[2]), now=time.time())
"""


def endless(root: Path, grace_seconds: float) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(root), str(grace_seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_compactions_that_are_killed_over_and_over_lose_nothing(tmp_path: Path) -> None:
    rng = random.Random(0)
    for round_ in range(4):
        both = [endless(tmp_path, 0.0) for _ in range(2)]
        try:
            for first in range(round_ * 150, round_ * 150 + 150, 15):
                write(tmp_path, max(0, first - rng.randrange(20)), first + 14)
                time.sleep(rng.random() / 10)
        finally:
            for process in both:
                process.send_signal(signal.SIGKILL)
                process.communicate()
        steps, events = shown(tmp_path)
        assert [offset for _, offset in steps] == [offset for offset in range(round_ * 150 + 150) if offset % 50]
        assert [offset for _, offset in events] == list(range(0, round_ * 150 + 150, 50))
    assert len(ranges(tmp_path)) < 40


def test_readers_see_every_row_once_while_it_compacts_and_an_archiver_writes(tmp_path: Path) -> None:
    write(tmp_path, 0, 9)
    process = endless(tmp_path, 2.0)
    ended = threading.Event()

    def archive() -> None:
        for first in range(10, 600, 10):
            write(tmp_path, max(0, first - first % 30), first + 9)
            time.sleep(0.05)
        ended.set()

    thread = threading.Thread(target=archive)
    thread.start()
    counts = []
    try:
        with duckdb.connect() as connection:
            connection.execute(views(str(tmp_path)))
            sql = 'SELECT count(*), count(DISTINCT "offset"), max("offset") FROM steps'
            while not ended.is_set():
                try:
                    counts += connection.execute(sql).fetchall()
                except duckdb.IOException:
                    continue  # a file that went between two looks; the question is asked again
    finally:
        thread.join()
        process.kill()
        process.communicate()
    assert len(counts) > 10
    assert counts == sorted(counts)
    for rows, offsets, last in counts:
        assert rows == offsets == sum(offset % 50 > 0 for offset in range(last + 1))
