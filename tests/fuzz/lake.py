"""What lies in the lake: Parquet files, and what is kept of a base model."""

from pathlib import Path

import pyarrow as pa

from producers.events import StepEvent
from streakline.dashboard.lake_runs import lake_runs
from streakline.report.reading import read_report
from tests.archived import write_events
from tests.fuzz.target import Target, of_file
from workers.archive.reading import ArchivedSteps
from workers.base_cache.columns import decode
from workers.base_cache.storage import DamagedEntry, read_entry
from workers.lake.ranges import Range, Series, range_path
from workers.lake.session import Session
from workers.lake.statements import QueryError
from workers.lake.writer import Lake

_TOPIC = "streakline.steps"
_FILE = range_path("steps", Series(_TOPIC, 0, "0a"), Range(0, 0))
_DIGEST = "0" * 32


def _root(path: Path) -> str:
    return str(path.parents[len(Path(_FILE).parts) - 1])


def _fill(folder: Path) -> None:
    write_events(Lake(str(folder)), [StepEvent(run_id="run", step=1, ts=1.0, loss=1.0)])


def _ask(path: Path) -> None:
    with Session(_root(path)) as session:
        lake_runs(session)
        read_report(session, "run")


def _replay(path: Path) -> None:
    for events in ArchivedSteps(_root(path), _TOPIC).partitions():
        list(events)


TARGETS = (
    Target(name="parquet_asked", decode=of_file(_FILE, _ask, beside=_fill), allowed=(QueryError,), is_slow=True),
    Target(
        name="parquet_replayed",
        decode=of_file(_FILE, _replay, beside=_fill),
        allowed=(pa.ArrowInvalid, ValueError, OSError),
    ),
    Target(
        name="base_entry",
        decode=of_file(
            f"base_cache/v=1/{_DIGEST}/entry.json", lambda path: read_entry(Lake(str(path.parents[3])), _DIGEST)
        ),
        allowed=(DamagedEntry,),
    ),
    Target(
        name="base_columns",
        decode=lambda raw: decode({"behaviour": raw, "answers": raw, "layers": raw}),
        allowed=(ValueError, OSError),
    ),
)
