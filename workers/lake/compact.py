"""Turns many small files of a table, of any projects and days, into few, with the same rows to see at every moment.

A compact file lists the files whose rows it holds, each with the digest of its bytes. Those stay for a grace period,
while the views show each diff from one file only; then they go, but only those whose bytes are still the ones that were
read. A query that has listed a file and not yet opened it when it goes ends with an error, never with fewer rows: run
it again. Nothing else is remembered, so that a compaction may be killed anywhere, and two at once do no harm.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from workers.lake.durable import replace
from workers.lake.paths import (
    COMPACT_PREFIX,
    TEMPORARY_SUFFIX,
    VERSION,
    compact_name,
    generation_of,
    is_visible,
    locate_local,
)
from workers.lake.tables import TABLES
from workers.lake.writer import serialise

SOURCES = "streakline.sources"
"""key of the list of files in a compact file's metadata"""
SMALL_BYTES = 16 * 2**20
BATCH_BYTES = 2 * SMALL_BYTES
"""that become one file: several times as much in memory"""
STALE_SECONDS = 86_400.0
OF_A_DIFF = ("project", "run_id", "diff_id", "dt")
"""what its rows are known by, in the order in which compact files are sorted"""
GROUP_ROWS = 8192
"""of features in a row group, at least: a query pays for each that there is, whatever it asks for"""


class Source(Struct, frozen=True, kw_only=True):
    """A file as it was when its rows were taken over."""

    name: str
    """path below the folder of the file that lists it"""
    sha256: str


class Done(Struct, frozen=True, kw_only=True):
    """One thing that `compact` did."""

    action: Literal["swept", "deleted", "compacted"]
    folder: str
    """relative to the root"""
    names: tuple[str, ...]
    """files that went, or whose rows are now in `into` as well"""
    into: str | None = None


def compact(root: str, *, min_files: int = 16, grace_seconds: float = 3600.0, now: float) -> list[Done]:
    """Clear away, then compact, every table of diffs of the lake at `root`; gives what was done, in order.

    Fewer than `min_files` small files of a table are left as they are. `now` is in Unix seconds, by the clock of the
    file system. Raises ValueError where `root` is not local or `min_files` is below 2, and for a file that is not
    Parquet; OSError where the disk fails.
    """
    base = Path(locate_local(root, "compacted").base)
    if min_files < 2:
        raise ValueError(f"min_files is {min_files}, and one file has nothing to be merged with; use 2 or more.")
    done = list(_sweep(base, now - STALE_SECONDS))
    for table in TABLES:
        place = base / table / VERSION
        relative = str(place.relative_to(base))
        # Where a file goes meanwhile, another compaction is at work, and the next one does what is left.
        with suppress(FileNotFoundError):
            if gone := _clear(place, now - grace_seconds):
                done.append(Done(action="deleted", folder=relative, names=gone))
            for into, names in _merge(table, place, min_files):
                done.append(Done(action="compacted", folder=relative, names=names, into=into))
    return done


def _sweep(base: Path, before: float) -> Iterator[Done]:
    """Temporary files of writers that were killed."""
    for path in sorted(base.rglob(f".*{TEMPORARY_SUFFIX}")):
        # A living writer may move it away meanwhile.
        with suppress(FileNotFoundError):
            if path.stat().st_mtime >= before:
                continue
            path.unlink()
            yield Done(action="swept", folder=str(path.parent.relative_to(base)), names=(path.name,))


def _clear(place: Path, before: float) -> tuple[str, ...]:
    """Delete what compact files older than `before` hold, and the folders that it leaves empty; gives the names."""
    gone = []
    for holder in _compact_files(place):
        if not holder.exists() or holder.stat().st_mtime > before:
            continue
        # Compact files first: were a diff's own file to go before an older copy of it, that one would show a moment.
        for source in sorted(_sources(place, holder), key=lambda source: (-_generation(source.name), source.name)):
            path = place / source.name
            # A file of that name but with other bytes has been written since: it is not the one that was read.
            if path.exists() and _digest(path.read_bytes()) == source.sha256:
                path.unlink()
                gone.append(source.name)
    for folder in {(place / name).parent for name in gone} - {place}:
        for empty in (folder, folder.parent):
            # Queries would look into them all. Where something has been written since, it stays.
            with suppress(OSError):
                empty.rmdir()
    return tuple(gone)


def _merge(table: str, place: Path, min_files: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Write files with the rows of the small ones that no compact file holds yet; gives the name of each and theirs."""
    held = {source for holder in _compact_files(place) for source in _sources(place, holder)}
    batch: dict[Source, bytes] = {}
    size = 0
    for path in list(_waiting(place, held)):
        data = path.read_bytes()
        if size + len(data) > BATCH_BYTES and len(batch) >= min_files:
            yield _merged(table, place, batch)
            batch, size = {}, 0
        batch[Source(name=str(path.relative_to(place)), sha256=_digest(data))] = data
        size += len(data)
    if len(batch) >= min_files:
        yield _merged(table, place, batch)


def _merged(table: str, place: Path, batch: Mapping[Source, bytes]) -> tuple[str, tuple[str, ...]]:
    # What the merged compact files still stand for goes on being held once they are gone.
    listed = (source for own in batch for source in _sources(place, place / own.name))
    inherited = (source for source in listed if (place / source.name).exists())
    sources = sorted({*batch, *inherited}, key=lambda source: (source.name, source.sha256))
    metadata = {SOURCES: msgspec.json.encode(sources).decode()}
    # As in the views, what is least compacted is what counts: a diff's own file may have been written anew.
    generations = sorted((_generation(source.name), source.name, source) for source in batch)
    rows = _union([_read(place / name, batch[source]) for _, name, source in generations])
    names = tuple(sorted(source.name for source in batch))
    digest = _digest(msgspec.json.encode(sorted((source.name, source.sha256) for source in batch)))
    into = compact_name(generations[-1][0] + 1, digest[:32])
    replace(place / into, serialise(table, rows, metadata, group_rows=GROUP_ROWS))
    return into, names


def _waiting(place: Path, held: set[Source]) -> Iterator[Path]:
    names = {source.name for source in held}
    for path in _files(place):
        if path.stat().st_size > SMALL_BYTES:
            continue
        name = str(path.relative_to(place))
        if name not in names or Source(name=name, sha256=_digest(path.read_bytes())) not in held:
            yield path


def _union(tables: Sequence[pa.Table]) -> pa.Table:
    """All rows, sorted by project, run and diff; a diff that is in several tables is taken from the first."""
    seen: set[tuple[str, ...]] = set()
    parts = []
    for table in tables:
        keys = {tuple(key.values()) for key in table.group_by(list(OF_A_DIFF)).aggregate([]).to_pylist()}
        rows = table
        for key in keys & seen:
            fields = (pc.field(name) == value for name, value in zip(OF_A_DIFF, key, strict=True))
            rows = rows.filter(~reduce(and_, fields))
        seen |= keys
        # A column that older files lack is null in them.
        loose = pa.schema([field.with_nullable(True) for field in table.schema])
        parts.append(rows.cast(loose))
    whole = pa.concat_tables(parts, promote_options="default")
    # Stable: within a diff the rows keep their order.
    return whole.take(pc.sort_indices(whole, [(name, "ascending") for name in OF_A_DIFF]))


def _files(place: Path) -> list[Path]:
    """All that readers read, those that were compacted for one project and day too."""
    return sorted(path for path in place.rglob("*.parquet") if is_visible(path.name))


def _compact_files(place: Path) -> list[Path]:
    return [path for path in _files(place) if path.name.startswith(COMPACT_PREFIX)]


def _generation(name: str) -> int:
    return generation_of(name.rpartition("/")[2])


def _sources(place: Path, path: Path) -> list[Source]:
    """What `path` holds, named below `place`, besides rows of its own; nothing, where it is not a compact file."""
    if not path.name.startswith(COMPACT_PREFIX):
        return []
    # A run may be called compact as well.
    listed = (pq.read_metadata(path).metadata or {}).get(SOURCES.encode())
    if listed is None:
        return []
    folder = path.parent.relative_to(place)
    return [
        Source(name=str(folder / source.name), sha256=source.sha256)
        for source in msgspec.json.decode(listed, type=list[Source])
    ]


def _read(path: Path, data: bytes) -> pa.Table:
    try:
        return pq.ParquetFile(pa.BufferReader(data)).read().replace_schema_metadata(None)
    except pa.ArrowInvalid as error:
        raise not_parquet(path, error) from error


def not_parquet(path: Path, error: pa.ArrowInvalid) -> ValueError:
    """The sentence for a file that is none."""
    return ValueError(f"{path} is not a Parquet file ({error}); move it out of the lake.")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
