"""Turns many small files of the archive into few, while archivers write and readers read.

What is merged is a file like any other: of the range from the first offset of what it was made of to the last. So what
`workers.archive` promises holds for it as well. Of files that begin at the same offset the longest counts, and cuts off
those that lie within it: readers take its rows, and theirs no longer. They stay for a grace period and go then, as does
any file that an older one covers, whoever wrote it. Nothing else is remembered, so that a compaction may be killed
anywhere, and two at once do no harm. A query that has listed a file and not yet opened it when it goes ends with an
error, never with fewer rows: run it again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from workers.archive.files import serialise
from workers.lake.archive_tables import ARCHIVE_TABLES
from workers.lake.compact import Done, not_parquet
from workers.lake.durable import replace
from workers.lake.paths import VERSION, encoded, locate_local
from workers.lake.ranges import TOPIC_FOLDERS, Range, cuts, first_missing, joined, range_name, split_name

SMALL_BYTES = 8 * 2**20
"""of columns before compression; a file that has more is left as it is"""
BATCH_BYTES = 3 * SMALL_BYTES
"""that become one file, so that none is merged again and again"""
MEMORY_BYTES = 2**29
"""of rows read for one file; columns take several times less, unless somebody wants them to take more"""

Series = str
"""what the names of its files begin with"""


class Stored(Struct, frozen=True):
    """One file."""

    path: Path
    range: Range


def compact_archive(root: str, markers: Mapping[str, str], *, grace_seconds: float = 3600.0, now: float) -> list[Done]:
    """Clear away, then merge, in every folder of the archive of the lake at `root`; gives what was done, in order.

    `markers` is topic → the table that has a file of every range of it; of a topic that is not in it, files of which
    one ends where the next begins are merged and no others. `now` is in Unix seconds, by the clock of the file system.
    Raises ValueError where `root` is not local, and for a file that is not Parquet; OSError where the disk fails.
    """
    base = Path(locate_local(root, "compacted").base)
    folders = {encoded(topic): table for topic, table in markers.items()}
    done = []
    for table in ARCHIVE_TABLES:
        for place in sorted((base / table / VERSION).glob(TOPIC_FOLDERS)):
            marker = folders.get(place.name.partition("=")[2], table)
            # First: where there is nothing of this table in a range that the marker has, there was nothing.
            read = {} if marker == table else _listed(base / marker / VERSION / place.name)
            relative = str(place.relative_to(base))
            for series, files in sorted(_listed(place).items()):
                # Where a file goes meanwhile, another compaction is at work, and the next one does what is left.
                with suppress(FileNotFoundError):
                    if gone := _clear(files, now - grace_seconds):
                        done.append(Done(action="deleted", folder=relative, names=_names(gone)))
                    for into, merged in _merge(table, series, {*files} - {*gone}, read.get(series, [])):
                        done.append(Done(action="compacted", folder=relative, names=_names(merged), into=into))
    return done


def _listed(place: Path) -> dict[Series, list[Stored]]:
    files: dict[Series, list[Stored]] = {}
    for path in place.glob("[!.]*.parquet"):
        if (found := split_name(path.name)) is not None:
            series, held = found
            files.setdefault(series, []).append(Stored(path, held))
    return files


def _clear(files: Iterable[Stored], before: float) -> list[Stored]:
    """Delete what a file older than `before` covers; gives those."""
    gone = []
    cover: Stored | None = None
    # Whatever covers a file comes before it, and of those before it the one that ends last does if any does.
    for each, _ in cuts((each.range, each) for each in files):
        if cover is not None and each.range.last <= cover.range.last:
            # Were it no file to read, what it covers would be all there is.
            _metadata(cover.path)
            each.path.unlink()
            gone.append(each)
        elif each.path.stat().st_mtime <= before:
            cover = each
    return gone


def _merge(
    table: str, series: Series, files: Iterable[Stored], read: Iterable[Stored]
) -> Iterator[tuple[str, list[Stored]]]:
    """Write files in the place of small ones that adjoin; gives the name of each and what it was made of."""
    for batch in _batches(files, joined(each.range for each in read)):
        merged: list[Stored] = []
        parts: list[pa.Table] = []
        for each in batch:
            rows = _rows(each.path)
            if merged and sum(part.nbytes for part in parts) + rows.nbytes > MEMORY_BYTES:
                yield from _written(table, series, merged, parts)
                merged, parts = [], []
            # All of the first, also what a file before it has and counts: else what is written would not cover it.
            parts.append(rows.filter(pc.field("offset") > merged[-1].range.last) if merged else rows)
            merged.append(each)
        yield from _written(table, series, merged, parts)


def _written(
    table: str, series: Series, merged: list[Stored], parts: Sequence[pa.Table]
) -> Iterator[tuple[str, list[Stored]]]:
    if len(merged) > 1:
        into = range_name(series, Range(merged[0].range.first, merged[-1].range.last))
        replace(merged[0].path.with_name(into), serialise(table, parts))
        yield into, merged


def _batches(files: Iterable[Stored], read: Sequence[Range]) -> Iterator[list[Stored]]:
    """Small files of which each ends where the next begins, or before something that is `read` and not there."""
    batch: list[Stored] = []
    size = 0
    for each, after in cuts((each.range, each) for each in files):
        if each.range.last <= after:
            continue
        own = _size(each.path)
        adjoins = each.range.first <= after + 1 or first_missing(read, after + 1) >= each.range.first
        if batch and (not adjoins or own > SMALL_BYTES or size + own > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        if own <= SMALL_BYTES:
            batch.append(each)
            size += own
    yield batch


def _size(path: Path) -> int:
    footer = _metadata(path)
    return sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))


def _metadata(path: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(path)
    except pa.ArrowInvalid as error:
        raise not_parquet(path, error) from error


def _rows(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read().replace_schema_metadata(None)
    except pa.ArrowInvalid as error:
        raise not_parquet(path, error) from error


def _names(files: Iterable[Stored]) -> tuple[str, ...]:
    return tuple(each.path.name for each in files)
