"""Nothing is lost between an event and its row in a file."""

import io
from collections.abc import Sequence

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.codec import encode
from producers.events import StepEvent
from tests.archive_events import lifecycle, signals, steps
from workers.archive.files import serialise
from workers.archive.rows import ArchivedEvent, Record, day_of, table_of, to_events, to_table
from workers.lake.schemas import ARCHIVE_SCHEMAS

KINDS = (("steps", steps), ("run_events", lifecycle), ("signals", signals))
kinds = st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind[0]), st.lists(kind[1], max_size=6)))


def records(events: Sequence[ArchivedEvent]) -> list[Record]:
    return [Record(offset, 1_700_000_000_123, event) for offset, event in enumerate(events)]


@settings(deadline=None)  # they write and read files
@given(kinds)
def test_an_event_comes_back_from_a_file_as_it_was(given: tuple[str, list[ArchivedEvent]]) -> None:
    table, events = given
    data = serialise(table, [to_table(table, "t", 3, [record]) for record in records(events)])
    file = pq.ParquetFile(io.BytesIO(data))
    assert file.schema_arrow.equals(ARCHIVE_SCHEMAS[table])
    found = [row for batch in file.iter_batches(batch_size=2) for row in to_events(table, batch)]
    # As the wire says it: NaN is equal to itself there.
    assert [(offset, encode(event)) for offset, event in sorted(found, key=lambda row: row[0])] == [
        (offset, encode(event)) for offset, event in enumerate(events)
    ]
    assert [(event.run_id, offset) for offset, event in found] == sorted(
        (event.run_id, offset) for offset, event in enumerate(events)
    )
    assert {table_of(event) for event in events} <= {table}


@settings(deadline=None)  # they write and read files
@given(kinds)
def test_equal_rows_are_equal_bytes_however_they_came(given: tuple[str, list[ArchivedEvent]]) -> None:
    table, events = given
    apart = [to_table(table, "t", 3, [record]) for record in records(events)]
    assert serialise(table, apart) == serialise(table, [to_table(table, "t", 3, records(events))])


def test_columns_that_came_later_are_none() -> None:
    event = StepEvent(run_id="a", step=1, ts=2.0, loss=3.0, grad_norms={"x": 1.0}, epoch=1.0)
    (batch,) = to_table("steps", "t", 0, records([event])).drop_columns(["grad_norms", "epoch"]).to_batches()
    assert list(to_events("steps", batch)) == [(0, StepEvent(run_id="a", step=1, ts=2.0, loss=3.0))]


@pytest.mark.parametrize(
    ("ts", "day"),
    [
        (0.0, "1970-01-01"),
        (-0.5, "1969-12-31"),
        (86_399.999, "1970-01-01"),
        (951_782_400.0, "2000-02-29"),
        (253_402_300_799.0, "9999-12-31"),
        (253_402_300_800.0, "2023-11-14"),
        (-62_135_596_800.0, "0001-01-01"),
        (-1e300, "2023-11-14"),
    ],
)
def test_the_day_is_the_events_where_it_has_one(ts: float, day: str) -> None:
    assert day_of(Record(0, 1_700_000_000_000, StepEvent(run_id="a", step=0, ts=ts, loss=1.0))) == day
