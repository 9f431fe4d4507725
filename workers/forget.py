"""Takes a run out of every file of the lake, the merged ones too.

A file is replaced by one without the run's rows, or deleted where it held nothing else. Those of the archive stay in
any case: they say which records were read. Not beside a diff worker, an archiver or a compaction: what they have read
of a file before it was replaced, they write again.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workers.archive.files import serialise as serialise_archived
from workers.lake.archive_tables import ARCHIVE_TABLES
from workers.lake.compact import GROUP_ROWS, SOURCES, Source, not_parquet
from workers.lake.durable import replace
from workers.lake.paths import VERSION, generation_of, is_visible, locate_local
from workers.lake.tables import TABLES
from workers.lake.writer import serialise


def forget(root: str, run_id: str) -> list[str]:
    """Delete every row of `run_id` from the lake at `root`; gives the files that had some, relative to it.

    May be killed and run again. Raises ValueError where `root` is not local, and for a file that is not Parquet;
    OSError where the disk fails.
    """
    base = Path(locate_local(root, "changed").base)
    changed = []
    for table in (*TABLES, *ARCHIVE_TABLES):
        for path in _files(base / table / VERSION):
            try:
                if _without(table, path, run_id):
                    changed.append(str(path.relative_to(base)))
            except pa.ArrowInvalid as error:
                raise not_parquet(path, error) from error
    return changed


def _files(place: Path) -> Iterator[Path]:
    """A diff's own first: a merged file then lists only those that are left."""
    found = [path for path in place.rglob("*.parquet") if is_visible(path.name)]
    yield from sorted(found, key=lambda path: (generation_of(path.name), path))


def _without(table: str, path: Path, run_id: str) -> bool:
    """Whether the file had rows of the run, which are gone now."""
    file = pq.ParquetFile(path)
    if run_id not in file.read(columns=["run_id"])["run_id"].unique().to_pylist():
        return False
    left = file.read().filter(pc.field("run_id") != run_id)
    if table in ARCHIVE_TABLES:
        replace(path, serialise_archived(table, [left.replace_schema_metadata(None)]))
    elif generation_of(path.name):
        listed = msgspec.json.decode((file.schema_arrow.metadata or {}).get(SOURCES.encode(), b"[]"), type=list[Source])
        kept = [source for source in listed if (path.parent / source.name).exists()]
        metadata = {SOURCES: msgspec.json.encode(kept).decode()}
        replace(path, serialise(table, left, metadata, group_rows=GROUP_ROWS))
    elif left.num_rows:
        replace(path, serialise(table, left))
    else:
        path.unlink()
    return True
