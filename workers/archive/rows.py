"""Events as columns of the archive's tables, and back: nothing is lost on the way, NaN and infinities neither."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Struct

from producers.events import CategoryRegression, Lifecycle, RunCompleted, RunFailed, RunStarted, Signal, StepEvent
from workers.lake.archive_tables import ARCHIVE_TABLES
from workers.lake.schemas import ARCHIVE_SCHEMAS, PUBLISHED_AT, row_schema
from workers.lake.tables import SCHEMA_VERSION

DAY_SECONDS = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_DAYS = range(1 - _EPOCH, date.max.toordinal() + 1 - _EPOCH)
"""from 1970: those that a calendar has"""

ArchivedEvent = StepEvent | Lifecycle | Signal
_LIFECYCLE: dict[str, Callable[..., Lifecycle]] = {
    "run_started": RunStarted,
    "run_completed": RunCompleted,
    "run_failed": RunFailed,
}


class Record(Struct, frozen=True, gc=False):
    """One event, and where it was."""

    offset: int
    published_ms: int | None
    event: ArchivedEvent


def table_of(event: ArchivedEvent) -> str:
    """The table that `event` goes into."""
    match event:
        case StepEvent():
            return "steps"
        case Signal():
            return "signals"
        case _:
            return "run_events"


def to_table(table: str, topic: str, partition: int, records: Sequence[Record]) -> pa.Table:
    """`records` of one partition, whose events all go into `table`, as its columns."""
    events = [record.event for record in records]
    shared: dict[str, list[object]] = {
        "schema_version": [SCHEMA_VERSION] * len(records),
        "dt": [day_of(record) for record in records],
        "topic": [topic] * len(records),
        "partition": [partition] * len(records),
        "offset": [record.offset for record in records],
        PUBLISHED_AT: [record.published_ms for record in records],
    }
    schema = ARCHIVE_SCHEMAS[table]
    columns = [
        pa.array(shared[field.name] if field.name in shared else _column(field, events), field.type) for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(field: pa.Field, events: Sequence[ArchivedEvent]) -> list[Any]:
    # Of a signal it is a field, of the others how msgspec tells them apart.
    if field.name == "type":
        return [event.type if isinstance(event, Signal) else event.__struct_config__.tag for event in events]
    values = [getattr(event, field.name, None) for event in events]
    if pa.types.is_struct(field.type):
        return [None if value is None else msgspec.structs.asdict(value) for value in values]
    return values


def day_of(record: Record) -> str:
    """The event's UTC day; the record's, where the event's is none that a calendar has.

    >>> day_of(Record(0, None, StepEvent(run_id="a", step=0, ts=1e9, loss=1.0)))
    '2001-09-09'
    >>> day_of(Record(0, 86_400_000, StepEvent(run_id="a", step=0, ts=1e300, loss=1.0)))
    '1970-01-02'
    """
    day = record.event.ts // DAY_SECONDS
    if not _DAYS[0] <= day <= _DAYS[-1]:
        day = (record.published_ms or 0) // (DAY_SECONDS * 1000)
    return _iso_day(int(day))


@lru_cache(maxsize=1024)
def _iso_day(day: int) -> str:
    return date.fromordinal(_EPOCH + day).isoformat()


def to_events(table: str, rows: pa.RecordBatch) -> Iterator[tuple[int, ArchivedEvent]]:
    """Offset and event of each row, in order: those that `to_table` was given.

    A column that `rows` lacks, because they were written before there was one, is None.
    """
    names = ["run_id", "attempt", "ts", *row_schema(ARCHIVE_TABLES[table]).names]
    columns = {name: _values(rows[name]) for name in names if name in rows.schema.names}
    offsets = rows["offset"].to_pylist()
    for offset, values in zip(offsets, zip(*columns.values(), strict=True), strict=True):
        yield offset, _event(table, dict(zip(columns, values, strict=True)))


def _values(column: pa.Array) -> list[Any]:
    if not pa.types.is_map(column.type):
        return list(column.to_pylist())
    # Much faster than to_pylist of a map.
    keys, items, ends = column.keys.to_pylist(), column.items.to_pylist(), column.offsets.to_pylist()
    return [
        dict(zip(keys[start:end], items[start:end], strict=True)) if there else None
        for start, end, there in zip(ends, ends[1:], column.is_valid().to_pylist(), strict=False)
    ]


def _event(table: str, values: dict[str, Any]) -> ArchivedEvent:
    if table == "steps":
        return StepEvent(**values)
    if table == "signals":
        regression = values.get("regression")
        return Signal(**values | {"regression": None if regression is None else CategoryRegression(**regression)})
    # What the type does not have is null.
    given = {name: value for name, value in values.items() if name != "type" and value is not None}
    return _LIFECYCLE[values["type"]](
        **{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    )
