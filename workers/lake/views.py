"""SQL views of the lake for DuckDB: each diff once, and only when it is whole."""

from importlib.resources import files
from string import Template

from pyarrow import fs

from workers.lake.paths import COMPACT, VERSION, Location, is_visible, locate
from workers.lake.tables import TABLES

RUNS = "runs"
WITHOUT_MARKER = frozenset({RUNS, "regressions"})
"""tables whose rows count as soon as they are there"""


def views(root: str) -> str:
    """SQL that (re)creates a view for each table that has files under `root`; empty where none has.

    Where `root` is remote, the connection needs DuckDB's own extension and secret for it. Raises ValueError where
    `root` is neither a folder nor a URI, OSError where its storage does not answer.
    """
    location = locate(root)
    template = Template(files("workers.lake").joinpath("views.sql").read_text("utf-8"))
    present = [table for table in TABLES if _has_files(location, table)]
    marked = _marked(location) if RUNS in present else "WHERE false"
    return "\n".join(
        template.substitute(
            table=table,
            files=_pattern(location, table),
            compact=COMPACT,
            marked="" if table in WITHOUT_MARKER else marked,
        )
        for table in present
    )


def _has_files(location: Location, table: str) -> bool:
    selector = fs.FileSelector(location.path(f"{table}/{VERSION}"), allow_not_found=True, recursive=True)
    return any(is_visible(info.base_name) for info in location.filesystem.get_file_info(selector))


def _marked(location: Location) -> str:
    """Leaves the diffs of which `runs` has a row."""
    return (
        f"SEMI JOIN read_parquet({_pattern(location, RUNS)}, union_by_name = true, hive_partitioning = false) "
        "AS marker USING (project, dt, run_id, diff_id)"
    )


def _pattern(location: Location, table: str) -> str:
    """The table's files as an SQL string; DuckDB, unlike a shell, has * match hidden ones too."""
    literal = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in location.url)
    pattern = f"{literal.rstrip('/')}/{table}/{VERSION}/project=*/dt=*/[!.]*.parquet"
    return "'" + pattern.replace("'", "''") + "'"
