"""The steps topic, read from the lake: what trainers sent, in the order in which they did."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct
from pyarrow import fs

from producers.events import TrainerEvent
from workers.archive.rows import ArchivedEvent, to_events
from workers.lake.paths import Location, locate
from workers.lake.ranges import Range, Series, cuts, parse_path, topic_folder
from workers.lake.schemas import ARCHIVE_SCHEMAS, PUBLISHED_AT

TABLES = ("run_events", "steps")
"""between them what was on the topic"""
_BATCH_ROWS = 1024


class _File(Struct, frozen=True):
    path: str
    table: str
    series: Series
    range: Range
    size_bytes: int


class ArchivedSteps:
    """All that the lake at `root` has of the steps topic `topic`, as it is now."""

    def __init__(self, root: str, topic: str) -> None:
        """Raises ValueError where `root` is neither a folder nor a URI, OSError where its storage does not answer."""
        self._location = locate(root)
        self._files = [file for table in TABLES for file in _files(self._location, table, topic)]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self._files)

    def partitions(
        self, runs: Sequence[str] = (), *, on_read: Callable[[int], None] = lambda _bytes: None
    ) -> Iterator[Iterator[TrainerEvent]]:
        """The events of each partition, in order: all of a run are on one. With `runs` only those of them.

        One file of each table is held at a time. `on_read` is told the bytes of each once it has been taken. Raises
        OSError, `pyarrow.ArrowInvalid` for what is no Parquet file, and ValueError for one that is none of ours.
        """
        by_partition = sorted(self._files, key=lambda file: file.series.partition)
        for _, files in groupby(by_partition, key=lambda file: file.series.partition):
            yield self._events(list(files), runs, on_read)

    def _events(
        self, files: Sequence[_File], runs: Sequence[str], on_read: Callable[[int], None]
    ) -> Iterator[TrainerEvent]:
        for series in self._in_order(files):
            own = [file for file in files if file.series == series]
            streams = [self._rows([file for file in own if file.table == table], runs, on_read) for table in TABLES]
            for _, event in heapq.merge(*streams, key=lambda row: row[0]):
                yield event  # type: ignore[misc]  # no signal is on the steps topic

    def _in_order(self, files: Sequence[_File]) -> list[Series]:
        """Where the topic was made anew: the old one first."""
        firsts: dict[Series, _File] = {}
        for file in sorted(files, key=lambda file: (file.range, file.table)):
            firsts.setdefault(file.series, file)
        return list(firsts) if len(firsts) == 1 else sorted(firsts, key=lambda series: self._begin(firsts[series].path))

    def _begin(self, path: str) -> float:
        first = pc.min(self._read(path, [PUBLISHED_AT])[PUBLISHED_AT]).as_py()
        return 0.0 if first is None else float(first.timestamp())

    def _rows(
        self, files: Sequence[_File], runs: Sequence[str], on_read: Callable[[int], None]
    ) -> Iterator[tuple[int, ArchivedEvent]]:
        for file, after in cuts((file.range, file) for file in files):
            if file.range.last > after:
                wanted = pc.field("offset") > after
                rows = self._read(file.path, None, wanted & pc.field("run_id").isin(runs) if runs else wanted)
                _check(rows, file)
                rows = rows.take(pc.sort_indices(rows, [("offset", "ascending")]))
                for batch in rows.to_batches(max_chunksize=_BATCH_ROWS):
                    yield from to_events(file.table, batch)
            on_read(file.size_bytes)

    def _read(self, path: str, columns: list[str] | None, filters: pc.Expression | None = None) -> pa.Table:
        try:
            return pq.read_table(
                path, filesystem=self._location.filesystem, columns=columns, filters=filters, partitioning=None
            )
        except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise ValueError(f"{path} has columns that none should have: take it out of the lake") from error


def _check(rows: pa.Table, file: _File) -> None:
    """Raise ValueError where `rows` are none that an archiver wrote; an older one may not have known every column."""
    for field in ARCHIVE_SCHEMAS[file.table]:
        if field.name not in rows.schema.names:
            if not field.nullable:
                raise ValueError(f"{file.path} has no column {field.name}: take it out of the lake")
            continue
        column = rows[field.name]
        if column.type != field.type or (column.null_count and not field.nullable):
            raise ValueError(f"the column {field.name} of {file.path} holds what none should: take it out of the lake")


def _files(location: Location, table: str, topic: str) -> Iterator[_File]:
    selector = fs.FileSelector(location.path(topic_folder(table, topic)), allow_not_found=True)
    for info in location.filesystem.get_file_info(selector):
        if (found := parse_path(info.path, topic)) is not None:
            yield _File(info.path, table, *found, info.size)
