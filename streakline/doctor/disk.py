"""Whether files can be written where they are to be, and whether there is room."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from streakline.doctor.findings import Finding, ok, warning, wrong

LITTLE_BYTES = 1 << 30


def look_at_folder(subject: str, folder: Path, variable: str, *, needed_bytes: int = 0) -> Iterator[Finding]:
    """`folder`, which `variable` names and which may not be there yet; it takes nothing below `needed_bytes` free."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        _write_and_rename(existing)
    except OSError as error:
        yield wrong(
            subject,
            f"nothing can be written in {existing} ({error.strerror or error})",
            f"make it this user's, or set {variable} to another place",
        )
        return
    yield judge_room(subject, folder, shutil.disk_usage(existing).free, variable, needed_bytes=needed_bytes)


def judge_room(subject: str, folder: Path, free_bytes: int, variable: str, *, needed_bytes: int = 0) -> Finding:
    """What there is to say of a folder that can be written. Pure."""
    free = f"{folder}: {free_bytes / 2**30:,.1f} GiB free"
    remedy = f"make room, or set {variable} to another place"
    if free_bytes < needed_bytes:
        return wrong(subject, f"{free}, and below {needed_bytes / 2**30:,.1f} GiB nothing more is kept there", remedy)
    if free_bytes < LITTLE_BYTES:
        return warning(subject, f"{free}, which is little", remedy)
    return ok(subject, free)


def _write_and_rename(folder: Path) -> None:
    """As everything of ours is written; where that is one file system, it has its name at once. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=".streakline-doctor-", dir=folder)
    path = Path(name)
    try:
        os.write(descriptor, b"x")
        os.fsync(descriptor)
        path = path.rename(f"{name}-renamed")
    finally:
        os.close(descriptor)
        path.unlink()
