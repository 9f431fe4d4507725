import io

import pyarrow.parquet as pq

from producers.events import RunStarted, StepEvent
from workers.archive.held import Held
from workers.archive.rows import ArchivedEvent, Record
from workers.lake.ranges import Range, Series

SERIES = Series("t", 2, "0a")


def step(number: int, run_id: str = "a") -> StepEvent:
    return StepEvent(run_id=run_id, step=number, ts=1.0, loss=2.0, grad_norms={"layer": 0.5})


def add(held: Held, offset: int, event: ArchivedEvent | None) -> None:
    held.add(offset, None if event is None else Record(offset, None, event), size_bytes=10, now=100.0)


def offsets(data: bytes) -> list[int]:
    found: list[int] = pq.read_table(io.BytesIO(data)).column("offset").to_pylist()
    return found


def test_a_range_is_a_file_of_each_table_that_has_rows_and_the_markers_is_last() -> None:
    held = Held(SERIES, 5, "steps")
    assert (held.range, list(held.files()), held.age_seconds(200.0)) == (None, [], 0.0)
    add(held, 5, step(1, "z"))
    add(held, 6, RunStarted(run_id="a", ts=1.0))
    add(held, 7, None)
    add(held, 9, step(1))
    assert (held.range, held.records, held.size_bytes, held.age_seconds(103.0)) == (Range(5, 9), 3, 40, 3.0)
    (events_path, events), (steps_path, steps) = files = list(held.files())
    assert files == list(held.files())
    assert events_path.replace("run_events", "steps") == steps_path
    assert (offsets(events), offsets(steps)) == ([6], [9, 5])
    held.clear()
    assert (held.range, held.records, held.size_bytes, held.next) == (None, 0, 0, 10)
    add(held, 10, step(2))
    assert [offsets(data) for _, data in held.files()] == [[10]]


def test_a_range_without_an_event_has_the_markers_file_all_the_same() -> None:
    held = Held(SERIES, 0, "run_events")
    add(held, 3, None)
    ((path, data),) = held.files()
    assert (path.startswith("run_events/"), offsets(data)) == (True, [])


def test_many_records_are_one_file() -> None:
    held = Held(SERIES, 0, "steps")
    for offset in range(5000):
        add(held, offset, step(offset))
    ((_, data),) = held.files()
    assert offsets(data) == list(range(5000))
