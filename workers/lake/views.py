"""SQL views of the lake for DuckDB: each diff once, and only when it is whole; each archived event once."""

from collections.abc import Iterator
from importlib.resources import files
from string import Template

from pyarrow import fs

from workers.lake.archive_tables import ARCHIVE_TABLES
from workers.lake.paths import COMPACT, VERSION, Location, is_visible, locate
from workers.lake.ranges import SERIES_AND_RANGE, TOPIC_FOLDERS
from workers.lake.tables import TABLES

RUNS = "runs"
WITHOUT_MARKER = frozenset({RUNS, "regressions"})
"""tables whose rows count as soon as they are there"""
DIFF_FOLDERS = "project=*/dt=*"
ONCE = {
    # Trainers tell of their life on two topics; a stream worker that is killed may emit a signal twice.
    "run_events": "run_id, attempt, type, ts",
    "signals": "signal_id",
}
"""table of the archive → what its events are known by, where one may be in several records"""


def views(root: str) -> str:
    """SQL that (re)creates a view for each table that has files under `root`; empty where none has.

    Where `root` is remote, the connection needs DuckDB's own extension and secret for it. Raises ValueError where
    `root` is neither a folder nor a URI, OSError where its storage does not answer.
    """
    location = locate(root)
    template = Template(files("workers.lake").joinpath("views.sql").read_text("utf-8"))
    present = [table for table in TABLES if _has_files(location, table)]
    marked = _marked(location) if RUNS in present else "WHERE false"
    diffs = [
        template.substitute(
            table=table,
            files=_pattern(location, table, DIFF_FOLDERS),
            compact=COMPACT,
            marked="" if table in WITHOUT_MARKER else marked,
        )
        for table in present
    ]
    return "\n".join([*diffs, *_archive_views(location)])


def _archive_views(location: Location) -> Iterator[str]:
    template = Template(files("workers.lake").joinpath("archive.sql").read_text("utf-8"))
    for table in ARCHIVE_TABLES:
        if _has_files(location, table):
            key = ONCE.get(table)
            once = (
                f'QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY topic, partition, "offset") = 1' if key else ""
            )
            pattern = _pattern(location, table, TOPIC_FOLDERS)
            yield template.substitute(table=table, files=pattern, name=SERIES_AND_RANGE, once=once)


def _has_files(location: Location, table: str) -> bool:
    selector = fs.FileSelector(location.path(f"{table}/{VERSION}"), allow_not_found=True, recursive=True)
    return any(is_visible(info.base_name) for info in location.filesystem.get_file_info(selector))


def _marked(location: Location) -> str:
    """Leaves the diffs of which `runs` has a row."""
    pattern = _pattern(location, RUNS, DIFF_FOLDERS)
    return (
        f"SEMI JOIN read_parquet({pattern}, union_by_name = true, hive_partitioning = false) "
        "AS marker USING (project, dt, run_id, diff_id)"
    )


def _pattern(location: Location, table: str, folders: str) -> str:
    """The table's files as an SQL string; DuckDB, unlike a shell, has * match hidden ones too."""
    literal = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in location.url)
    pattern = f"{literal.rstrip('/')}/{table}/{VERSION}/{folders}/[!.]*.parquet"
    return "'" + pattern.replace("'", "''") + "'"
