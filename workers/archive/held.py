"""What is read of one partition and not yet in the lake."""

from collections.abc import Iterator

import pyarrow as pa

from workers.archive.files import serialise
from workers.archive.rows import Record, table_of, to_table
from workers.lake.ranges import Range, Series, range_path

_CHUNK_RECORDS = 2048
"""events take several times the room of the columns they become"""


class Held:
    """A range of `series` that begins at `first` and grows. `marker` is the table that has a file of every range."""

    def __init__(self, series: Series, first: int, marker: str) -> None:
        self.series = series
        self.next = first
        """offset of the record to come"""
        self.first = first
        """offset from which on nothing is in the lake"""
        self._marker = marker
        self.size_bytes = 0
        """of what is held, as it came"""
        self.records = 0
        """of those that are events"""
        self._began: float | None = None
        self._loose: list[Record] = []
        self._parts: dict[str, list[pa.Table]] = {}

    @property
    def range(self) -> Range | None:
        """What is held; None where nothing is."""
        return Range(self.first, self.next - 1) if self.next > self.first else None

    def age_seconds(self, now: float) -> float:
        """Since the first of what is held came; 0 where nothing is."""
        return 0.0 if self._began is None else now - self._began

    def add(self, offset: int, record: Record | None, *, size_bytes: int, now: float) -> None:
        """The next record, which is None where it is no event: then it is known to have been read."""
        self.next = offset + 1
        self.size_bytes += size_bytes
        self._began = now if self._began is None else self._began
        if record is None:
            return
        self.records += 1
        self._loose.append(record)
        if len(self._loose) >= _CHUNK_RECORDS:
            self._to_columns()

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Path below the lake's root and content of each file of the range: the marker's last, the others where needed.

        What is held stays so.
        """
        self._to_columns()
        held = self.range
        if held is None:
            return
        for table in [*(each for each in self._parts if each != self._marker), self._marker]:
            yield range_path(table, self.series, held), serialise(table, self._parts.get(table, []))

    def clear(self) -> None:
        """It is in the lake; begin anew behind it."""
        self.first = self.next
        self.size_bytes = 0
        self.records = 0
        self._began = None
        self._parts.clear()

    def _to_columns(self) -> None:
        by_table: dict[str, list[Record]] = {}
        for record in self._loose:
            by_table.setdefault(table_of(record.event), []).append(record)
        for table, records in by_table.items():
            part = to_table(table, self.series.topic, self.series.partition, records)
            self._parts.setdefault(table, []).append(part)
        self._loose.clear()
