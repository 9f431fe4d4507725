"""Whether the lake can be read and written."""

from collections.abc import Iterator
from pathlib import Path

from streakline.doctor.disk import look_at_folder
from streakline.doctor.findings import Finding, ok, warning
from workers.uris import said, shown

_SUBJECT = "lake"


def look_at_lake(root: str) -> Iterator[Finding]:
    """The lake at `root`, a folder or a URI. Raises ValueError where it cannot be read, or is of a later release."""
    if "://" not in root:
        yield from look_at_folder(_SUBJECT, Path(root).absolute(), "STREAKLINE_LAKE")
    try:
        from workers.lake.paths import locate
    except ImportError:
        yield warning(_SUBJECT, "what is in it could not be looked at", "pip install 'streakline[workers]'")
        return
    from pyarrow import fs

    try:
        location = locate(root)
        selector = fs.FileSelector(location.base, allow_not_found=True)
        infos = location.filesystem.get_file_info(selector)
    except OSError as error:
        # It may repeat the URI, and with it a key.
        raise ValueError(f"{shown(root)} cannot be read ({said(error, root)}): see to its storage") from None
    tables = [info for info in infos if info.type == fs.FileType.Directory]
    yield ok(_SUBJECT, f"{location.url} has {len(tables)} folders of tables, none of a later release")
