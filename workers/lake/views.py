"""SQL views of the lake for DuckDB: each diff once, and only when it is whole; each archived event once."""

from collections.abc import Iterable, Iterator, Mapping
from glob import iglob
from importlib.resources import files
from string import Template

from msgspec import Struct
from pyarrow import fs

from workers.lake.archive_tables import ARCHIVE_TABLES
from workers.lake.paths import COMPACT, COMPACT_PREFIX, VERSION, Location, encoded, is_visible, locate
from workers.lake.ranges import SERIES_AND_RANGE, TOPIC_FOLDERS
from workers.lake.statements import quoted
from workers.lake.tables import TABLES

RUNS = "runs"
WITHOUT_MARKER = frozenset({RUNS, "regressions"})
"""tables whose rows count as soon as they are there"""
DIFF_FILES = "**/[!.]*.parquet"
"""of one project and day, and compact files beside them"""
ONCE = {
    # Trainers tell of their life on two topics; a stream worker that is killed may emit a signal twice.
    "run_events": "run_id, attempt, type, ts",
    "signals": "signal_id",
}
"""table of the archive → what its events are known by, where one may be in several records"""


class Within(Struct, frozen=True, kw_only=True):
    """What is asked for, None being any: the views then read no files of diffs that cannot hold it.

    They may show more than it, for compact files hold rows of many.
    """

    project: str | None = None
    dt: str | None = None
    run_id: str | None = None

    @property
    def patterns(self) -> tuple[str, ...]:
        """Of the files, below a table's folder; no file matches two. What is compacted is listed after what it holds.

        >>> Within(project="a/b", dt="2026-01-31").patterns
        ('project=a%2Fb/dt=2026-01-31/[!.]*.parquet', 'compact-*.parquet')
        """
        folder = f"project={_any_or(self.project)}/dt={_any_or(self.dt)}"
        merged = f"{COMPACT_PREFIX}*.parquet"
        if self.run_id is None:
            return f"{folder}/[!.]*.parquet", merged
        own = f"{encoded(self.run_id)}-"
        # A run may be called compact as well.
        names = (merged,) if own.startswith(COMPACT_PREFIX) else (f"{own}*.parquet", merged)
        return *(f"{folder}/{name}" for name in names), merged


def _any_or(name: str | None) -> str:
    return "*" if name is None else encoded(name)


def narrow_views(root: str, within: Within, tables: Iterable[str]) -> str:
    """The same as `views` makes of `tables` of diffs, over the files alone that can hold what is `within`.

    `root` is local. A table that has none of such files has no view.
    """
    location = locate(root)
    found = {table: _present(location, table, within.patterns) for table in (RUNS, *tables)}
    return "\n".join(_diff_views({table: pattern for table, pattern in found.items() if pattern}))


def _present(location: Location, table: str, patterns: Iterable[str]) -> str:
    """Those `patterns` that match a file, as an SQL list: DuckDB refuses others. Empty where none does."""
    full = [_glob(location, table, pattern) for pattern in patterns]
    present = [quoted(each) for each in full if _matches(each)]
    return f"[{', '.join(present)}]" if present else ""


def _matches(pattern: str) -> bool:
    return any(iglob(pattern, recursive=True))  # noqa: PTH207 - it stops at the first, and takes DuckDB's patterns


def views(root: str) -> str:
    """SQL that (re)creates a view for each table that has files under `root`; empty where none has.

    Where `root` is remote, the connection needs DuckDB's own extension and secret for it. Raises ValueError where
    `root` is neither a folder nor a URI, OSError where its storage does not answer.
    """
    location = locate(root)
    present = {table: _pattern(location, table, DIFF_FILES) for table in TABLES if _has_files(location, table)}
    return "\n".join([*_diff_views(present), *_archive_views(location)])


def run_tables(root: str, run_id: str) -> str:
    """SQL that makes tables of what is archived of one run, and a view `runs` that has at least its diffs.

    What has no file that can hold it is left out. `root` is local.
    """
    archived = _archive_views(locate(root), kind="TABLE", wanted=f"WHERE run_id = {quoted(run_id)}")
    return "\n".join([narrow_views(root, Within(run_id=run_id), ()), *archived])


def _diff_views(present: Mapping[str, str]) -> Iterator[str]:
    """Of each table in `present`, which says where its files are."""
    template = Template(files("workers.lake").joinpath("views.sql").read_text("utf-8"))
    marked = _marked(present[RUNS]) if RUNS in present else "WHERE false"
    for table, pattern in present.items():
        yield template.substitute(
            table=table,
            files=pattern,
            compact=COMPACT,
            marked="" if table in WITHOUT_MARKER else marked,
        )


def _archive_views(location: Location, *, kind: str = "VIEW", wanted: str = "") -> Iterator[str]:
    template = Template(files("workers.lake").joinpath("archive.sql").read_text("utf-8"))
    for table in ARCHIVE_TABLES:
        if _has_files(location, table):
            key = ONCE.get(table)
            once = (
                f'QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY topic, partition, "offset") = 1' if key else ""
            )
            pattern = _pattern(location, table, f"{TOPIC_FOLDERS}/[!.]*.parquet")
            yield template.substitute(
                kind=kind, table=table, files=pattern, name=SERIES_AND_RANGE, once=once, wanted=wanted
            )


def _has_files(location: Location, table: str) -> bool:
    if location.is_local:
        return _matches(_glob(location, table, "**/[!.]*.parquet"))
    selector = fs.FileSelector(location.path(f"{table}/{VERSION}"), allow_not_found=True, recursive=True)
    return any(is_visible(info.base_name) for info in location.filesystem.get_file_info(selector))


def _marked(pattern: str) -> str:
    """Leaves the diffs of which `runs` has a row."""
    return (
        f"SEMI JOIN read_parquet({pattern}, union_by_name = true, hive_partitioning = false) "
        "AS marker USING (project, dt, run_id, diff_id)"
    )


def pattern_of(path: str) -> str:
    """What matches `path` and nothing else.

    >>> pattern_of("a [b]*")
    'a [[]b][*]'
    """
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def _pattern(location: Location, table: str, pattern: str) -> str:
    """The table's files as an SQL string."""
    return quoted(_glob(location, table, pattern))


def _glob(location: Location, table: str, pattern: str) -> str:
    """The table's files; DuckDB, unlike a shell, has * match hidden ones too."""
    return f"{pattern_of(location.url).rstrip('/')}/{table}/{VERSION}/{pattern}"
