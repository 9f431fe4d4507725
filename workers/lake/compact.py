"""Turns many small files of the lake into few, with the same rows to see at every moment.

A compact file lists the files whose rows it holds, each with the digest of its bytes. Those stay for a grace period,
while the views show each diff from one file only; then they go, but only those whose bytes are still the ones that were
read. A query that has listed a file and not yet opened it when it goes ends with an error, never with fewer rows: run
it again. Nothing else is remembered, so that a compaction may be killed anywhere, and two at once do no harm.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from workers.lake.paths import (
    COMPACT_PREFIX,
    TEMPORARY_SUFFIX,
    VERSION,
    compact_name,
    generation_of,
    is_visible,
    locate,
)
from workers.lake.tables import TABLES
from workers.lake.writer import replace, serialise

SOURCES = "streakline.sources"
"""key of the list of files in a compact file's metadata"""
SMALL_BYTES = 16 * 2**20
BATCH_BYTES = 256 * 2**20
"""read into memory at once; the rest of a folder waits for the next run"""
STALE_SECONDS = 86_400.0


class Source(Struct, frozen=True, kw_only=True):
    """A file as it was when its rows were taken over."""

    name: str
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
    """Clear away, then compact, every folder of the lake at `root`; gives what was done, in order.

    `now` is in Unix seconds, by the clock of the file system. Raises ValueError where `root` is not local or
    `min_files` is below 2, and for a file that is not Parquet; OSError where the disk fails.
    """
    location = locate(root)
    if not location.is_local:
        raise ValueError(
            f"{root!r} is not a local folder, and only such can be compacted; mount it, or leave it as is."
        )
    if min_files < 2:
        raise ValueError(f"min_files is {min_files}, and one file has nothing to be merged with; use 2 or more.")
    base = Path(location.base)
    done = list(_sweep(base, now - STALE_SECONDS))
    for table in TABLES:
        for place in sorted((base / table / VERSION).glob("project=*/dt=*")):
            relative = str(place.relative_to(base))
            # Where a file goes meanwhile, another compaction is at work, and the next one does what is left.
            with suppress(FileNotFoundError):
                if gone := _clear(place, now - grace_seconds):
                    done.append(Done(action="deleted", folder=relative, names=gone))
                if merged := _merge(table, place, min_files):
                    into, names = merged
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
    """Delete what compact files older than `before` hold; gives the names."""
    gone = []
    for holder in _compact_files(place):
        if not holder.exists() or holder.stat().st_mtime > before:
            continue
        # Compact files first: were a diff's own file to go before an older copy of it, that one would show a moment.
        for source in sorted(_sources(holder), key=lambda source: (-generation_of(source.name), source.name)):
            path = place / source.name
            # A file of that name but with other bytes has been written since: it is not the one that was read.
            if path.exists() and _digest(path.read_bytes()) == source.sha256:
                path.unlink()
                gone.append(source.name)
    return tuple(gone)


def _merge(table: str, place: Path, min_files: int) -> tuple[str, tuple[str, ...]] | None:
    """Write one file with the rows of the small ones that no compact file holds yet; gives its name and theirs."""
    held = {source for holder in _compact_files(place) for source in _sources(holder)}
    batch: dict[Source, bytes] = {}
    size = 0
    for path in _waiting(place, held):
        data = path.read_bytes()
        size += len(data)
        if size > BATCH_BYTES and len(batch) >= min_files:
            break
        batch[Source(name=path.name, sha256=_digest(data))] = data
    if len(batch) < min_files:
        return None
    # What the merged compact files still stand for goes on being held once they are gone.
    inherited = (source for own in batch for source in _sources(place / own.name) if (place / source.name).exists())
    listed = sorted({*batch, *inherited}, key=lambda source: (source.name, source.sha256))
    metadata = {SOURCES: msgspec.json.encode(listed).decode()}
    # As in the views, what is least compacted is what counts: a diff's own file may have been written anew.
    generations = sorted((generation_of(source.name), source.name, source) for source in batch)
    rows = _union([_read(place / name, batch[source]) for _, name, source in generations])
    names = tuple(sorted(source.name for source in batch))
    digest = _digest(msgspec.json.encode(sorted((source.name, source.sha256) for source in batch)))
    into = compact_name(generations[-1][0] + 1, digest[:32])
    replace(place / into, serialise(table, rows, metadata))
    return into, names


def _waiting(place: Path, held: set[Source]) -> Iterator[Path]:
    names = {source.name for source in held}
    for path in sorted(place.iterdir()):
        if not is_visible(path.name) or path.stat().st_size > SMALL_BYTES:
            continue
        if path.name not in names or Source(name=path.name, sha256=_digest(path.read_bytes())) not in held:
            yield path


def _union(tables: Sequence[pa.Table]) -> pa.Table:
    """All rows, sorted by run and diff; a diff that is in several tables is taken from the first."""
    seen: set[tuple[str, str]] = set()
    parts = []
    for table in tables:
        keys = {
            (key["run_id"], key["diff_id"]) for key in table.group_by(["run_id", "diff_id"]).aggregate([]).to_pylist()
        }
        rows = table
        for run_id, diff_id in keys & seen:
            rows = rows.filter(~((pc.field("run_id") == run_id) & (pc.field("diff_id") == diff_id)))
        seen |= keys
        # A column that older files lack is null in them.
        loose = pa.schema([field.with_nullable(True) for field in table.schema])
        parts.append(rows.cast(loose))
    whole = pa.concat_tables(parts, promote_options="default")
    # Stable: within a diff the rows keep their order.
    return whole.take(pc.sort_indices(whole, [("run_id", "ascending"), ("diff_id", "ascending")]))


def _compact_files(place: Path) -> list[Path]:
    return sorted(path for path in place.glob(f"{COMPACT_PREFIX}*") if is_visible(path.name))


def _sources(path: Path) -> list[Source]:
    """What `path` holds besides rows of its own; nothing, where it is not a compact file."""
    if not path.name.startswith(COMPACT_PREFIX):
        return []
    # A run may be called compact as well.
    listed = (pq.read_metadata(path).metadata or {}).get(SOURCES.encode())
    return [] if listed is None else msgspec.json.decode(listed, type=list[Source])


def _read(path: Path, data: bytes) -> pa.Table:
    try:
        return pq.ParquetFile(pa.BufferReader(data)).read().replace_schema_metadata(None)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a Parquet file ({error}); move it out of the lake.") from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
