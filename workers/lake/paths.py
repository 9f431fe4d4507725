"""Where in the lake a file lies: ``<root>/<table>/v=1/project=<p>/dt=<YYYY-MM-DD>/<run>-<diff>.parquet``.

Projects and runs are named by whoever trains, so nothing in them may lead elsewhere, hide a file or outgrow a file
system: all but letters, digits and ``_.-~`` is percent-encoded, a leading ``.`` or ``_`` as well, and a very long name
is cut and told apart by a digest.
"""

import hashlib
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
from msgspec import Struct
from pyarrow import fs

from workers.lake.archive_tables import ARCHIVE_TABLES
from workers.lake.tables import SCHEMA_VERSION, TABLES
from workers.uris import said, shown

VERSION = f"v={SCHEMA_VERSION}"
COMPACT_PREFIX = "compact-"
COMPACT = rf"^{COMPACT_PREFIX}(\d{{6}})-[0-9a-f]{{32}}\.parquet$"
"""no diff's own file matches it: a `diff_id` has 16 digits"""
TEMPORARY_SUFFIX = ".tmp"
LONGEST = 160
"""characters of an encoded name; a file name of two of them and its temporary twin stay below 255"""


class Location(Struct, frozen=True, kw_only=True):
    """A lake's root, resolved."""

    filesystem: fs.FileSystem
    base: str
    """the root as `filesystem` spells it; absolute where it is local"""
    url: str
    """the root as DuckDB spells it"""

    @property
    def is_local(self) -> bool:
        """Whether the files lie on this machine, or in a folder mounted by it."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def path(self, relative: str) -> str:
        """`relative`, below the root, as `filesystem` spells it."""
        return f"{self.base.rstrip('/')}/{relative}" if self.base else relative


def locate(root: str) -> Location:
    """The lake at `root`, a folder or a URI that pyarrow knows; nothing need be there yet.

    Raises ValueError where `root` is neither, and where a later release has written there: its files would be missing
    from every answer, and what they say be said again beside them. Raises OSError where its server does not answer.
    """
    location = _located(root)
    _refuse_later_files(location, root)
    return location


def locate_local(root: str, what: str) -> Location:
    """The same for a lake that is to be `what` ("asked", "compacted"), which only one on this machine can be.

    Raises ValueError where it lies elsewhere, without asking its storage, which may take minutes not to answer.
    """
    location = _located(root)
    if not location.is_local:
        raise ValueError(f"{shown(root)!r} is not a local folder, and only such can be {what}: mount it")
    _refuse_later_files(location, root)
    return location


def _refuse_later_files(location: Location, root: str) -> None:
    # Storage that does not answer now is told of, or tried again, by whoever uses it.
    with suppress(OSError):
        if (later := later_files(location)) is not None:
            raise ValueError(
                f"the lake {shown(root)} holds files of a later release ({later}), this one knows {VERSION} at most: "
                f"use the release that wrote them, or move {later} elsewhere"
            )


def later_files(location: Location) -> str | None:
    """The first folder of a table, relative to the root, whose version is later than ours. Raises OSError."""
    for table in sorted({*TABLES, *ARCHIVE_TABLES}):
        selector = fs.FileSelector(location.path(table), allow_not_found=True)
        for info in location.filesystem.get_file_info(selector):
            found = re.fullmatch(r"v=([0-9]{1,9})", info.base_name)
            if found and int(found[1]) > SCHEMA_VERSION:
                return f"{table}/{info.base_name}"
    return None


def _located(root: str) -> Location:
    if "://" not in root:
        base = str(Path(root).absolute())
        return Location(filesystem=fs.LocalFileSystem(), base=base, url=base)
    try:
        filesystem, base = fs.FileSystem.from_uri(root)
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"The lake {shown(root)!r} is neither a folder nor a URI that pyarrow knows, such as s3://bucket/folder: "
            f"{said(error, root)}"
        ) from None
    if filesystem.type_name == "local":
        return Location(filesystem=filesystem, base=base, url=base)
    return Location(filesystem=filesystem, base=base, url=shown(root).rstrip("/"))


def encoded(name: str) -> str:
    """`name` as one harmless part of a path; different for different names.

    >>> encoded("../x"), encoded(".hidden"), encoded("team/a b")
    ('%2E.%2Fx', '%2Ehidden', 'team%2Fa%20b')
    """
    safe = quote(name, safe="")
    if safe[:1] in {".", "_"}:
        safe = f"%{ord(safe[0]):02X}{safe[1:]}"
    if len(safe) <= LONGEST:
        return safe
    # No encoded name has a % before a ~, so that a cut one never equals a whole one.
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"{safe[: LONGEST - len(digest) - 2]}%~{digest}"


def folder(table: str, *, project: str, dt: str) -> str:
    """Folder, relative to the root, of a table's files of one project and day."""
    return f"{table}/{VERSION}/project={encoded(project)}/dt={encoded(dt)}"


def file_path(table: str, *, project: str, dt: str, run_id: str, diff_id: str, suffix: str = ".parquet") -> str:
    """Path, relative to the root, of what one diff says in `table`: always the same one, so that it overwrites itself.

    >>> file_path("runs", project="p", dt="2026-01-31", run_id="r/1", diff_id="0123456789abcdef")
    'runs/v=1/project=p/dt=2026-01-31/r%2F1-0123456789abcdef.parquet'
    """
    # The last hyphen parts run from diff: with one more in the diff, two pairs could share a name.
    diff = encoded(diff_id).replace("-", "%2D")
    return f"{folder(table, project=project, dt=dt)}/{encoded(run_id)}-{diff}{suffix}"


def compact_name(generation: int, digest: str) -> str:
    """Name of a compact file, of which `generation` is one more than of any that it was made from.

    >>> generation_of(compact_name(7, "0" * 32)), generation_of("run-0123456789abcdef.parquet")
    (7, 0)
    """
    return f"{COMPACT_PREFIX}{generation:06d}-{digest}.parquet"


def generation_of(name: str) -> int:
    """How often what is in the file of this name was merged; 0 for a diff's own."""
    match = re.match(COMPACT, name)
    return int(match[1]) if match else 0


def is_visible(name: str) -> bool:
    """Whether the file of this name, without folder, is one that readers read."""
    return name.endswith(".parquet") and not name.startswith(".")
