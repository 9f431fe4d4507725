"""From a lake and what was told of it to figures: the judge is what comes of the same runs undisturbed."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from producers.codec import encode
from producers.reader import read_topic
from tests.diff_pool import Pool, Undisturbed, files_in, shown
from tests.faults.cases import Figures
from tests.faults.judged import compared
from workers.lake.compact import STALE_SECONDS, compact
from workers.lake.paths import TEMPORARY_SUFFIX, is_visible


def judged(pool: Pool, lake: Path, undisturbed: Undisturbed) -> Figures:
    """What diff workers have made of the runs topic."""
    told = compared(
        {(event.run_id, event.attempt): encode(event) for event in undisturbed.events.values()},
        [((event.run_id, event.attempt), encode(event)) for event in pool.diffs()],
    )
    files = compared(files_in(undisturbed.lake), files_in(lake).items())
    rows = compared(dict(_counts(undisturbed.rows)), _counts(shown(lake)))
    completed = sum(1 for _ in read_topic(pool.kafka, pool.names.runs))
    return Figures(
        expected=len(undisturbed.events),
        missing=told.missing + files.missing + rows.missing,
        extra=told.extra + files.extra + rows.extra + len(pool.dead_letters()),
        duplicates=told.duplicates,
        half_written=half_written(lake),
        lag=completed - pool.committed(),
    )


def half_written(lake: Path) -> int:
    """Files that readers read and cannot, and those of writers that died which compaction does not clear away."""
    unreadable = 0
    for path in lake.rglob("*.parquet"):
        if is_visible(path.name):
            try:
                pq.ParquetFile(path).read()
            except pa.ArrowInvalid:
                unreadable += 1
    compact(str(lake), min_files=10_000, now=time.time() + 2 * STALE_SECONDS)
    return unreadable + len(list(lake.rglob(f".*{TEMPORARY_SUFFIX}")))


def _counts(rows: Mapping[str, Mapping[str, int]]) -> Iterable[tuple[tuple[str, str], bytes]]:
    """Table and run, and how many rows it shows."""
    return [((table, run), b"%d" % count) for table, runs in rows.items() for run, count in runs.items()]
