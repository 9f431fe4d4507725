"""Events written to a lake as the archive writes them."""

from collections.abc import Sequence

from workers.archive.files import serialise
from workers.archive.rows import ArchivedEvent, Record, table_of, to_table
from workers.lake.ranges import Range, Series, range_path
from workers.lake.writer import Lake


def write_events(lake: Lake, events: Sequence[ArchivedEvent], topic: str = "streakline.steps") -> None:
    """One file a table; the offsets are the places in `events`. Signals have a topic of their own."""
    for table in ("steps", "run_events", "signals"):
        source = "streakline.signals" if table == "signals" else topic
        records = [Record(offset, None, event) for offset, event in enumerate(events) if table_of(event) == table]
        if not records:
            continue
        data = serialise(table, [to_table(table, source, 0, records)])
        lake.write_bytes(range_path(table, Series(source, 0, "0a"), Range(0, len(events) - 1)), data)
