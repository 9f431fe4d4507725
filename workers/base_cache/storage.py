"""Where a measurement is kept: ``<lake>/base_cache/v=1/<digest of its key>/``, and whether what is there is to be used.

`entry.json` is written last. It says of every file which bytes it has, and the files are named after theirs, so that
two writers of different bytes (a GPU's sums may differ in the last digit) do not mix: a reader gets what one of them
wrote, or nothing. Files that no entry names any more stay until the folder goes.
"""

import hashlib
import re
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from workers.base_cache.columns import Part, decode, encode
from workers.base_cache.key import BaseKey
from workers.lake.writer import Lake
from workers.measurement import Measurement

FORMAT = 1
ROOT = f"base_cache/v={FORMAT}"
ENTRY = "entry.json"
DIGEST = re.compile(r"[0-9a-f]{32}")
"""of a key; matched in full before it becomes part of a path"""


class DamagedEntry(Exception):
    """What is kept is not what was written, or not what was asked for; the message is a sentence."""


class StoredFile(Struct, frozen=True, kw_only=True):
    """The bytes of a file."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    size: int


class Entry(Struct, frozen=True, kw_only=True):
    """`entry.json`: the files ``<part>-<first digits of its sha256>.parquet`` together are the measurement of `key`."""

    format: int
    key: BaseKey
    files: dict[Part, StoredFile]
    bytes: int
    """of all the files"""


class Stored(Struct, frozen=True, kw_only=True, eq=False):
    """A measurement, read back."""

    measurement: Measurement
    bytes: int


def write(lake: Lake, key: BaseKey, measurement: Measurement) -> int:
    """Keep `measurement`, in place of what was kept for `key`; gives its size in bytes.

    Raises `TransientDiffError` where the storage fails, ValueError for a text that is no Unicode.
    """
    parts = encode(measurement)
    files = {part: StoredFile(sha256=_sha256(data), size=len(data)) for part, data in parts.items()}
    for part, data in parts.items():
        lake.write_bytes(_path(key.digest, _name(part, files[part])), data)
    size = sum(file.size for file in files.values())
    entry = Entry(format=FORMAT, key=key, files=files, bytes=size)
    lake.write_bytes(_path(key.digest, ENTRY), msgspec.json.format(msgspec.json.encode(entry)))
    return size


def read(lake: Lake, key: BaseKey) -> Stored | None:
    """What is kept for `key`; None where nothing is.

    Raises `DamagedEntry` for anything but what was written for exactly this key, `TransientDiffError` where the
    storage fails.
    """
    entry = read_entry(lake, key.digest)
    if entry is None:
        return None
    if entry.key != key:
        raise DamagedEntry(f"{ENTRY} is that of another base, or of another way to measure")
    parts: dict[Part, bytes] = {}
    for part, file in entry.files.items():
        name = _name(part, file)
        data = lake.read_bytes(_path(key.digest, name))
        if data is None:
            raise DamagedEntry(f"{name} is missing")
        if len(data) != file.size or _sha256(data) != file.sha256:
            raise DamagedEntry(f"{name} holds other bytes than were written")
        parts[part] = data
    try:
        return Stored(measurement=decode(parts), bytes=entry.bytes)
    except (ValueError, KeyError, OSError) as error:
        raise DamagedEntry(f"its files cannot be read: {error}") from error


def read_entry(lake: Lake, digest: str) -> Entry | None:
    """The `entry.json` of `digest`, None where there is none. Raises as `read` does."""
    data = lake.read_bytes(_path(digest, ENTRY))
    if data is None:
        return None
    try:
        entry = msgspec.json.decode(data, type=Entry)
    except (ValueError, RecursionError) as error:
        raise DamagedEntry(f"{ENTRY} cannot be read: {error}") from error
    if entry.format != FORMAT or entry.bytes != sum(file.size for file in entry.files.values()):
        raise DamagedEntry(f"{ENTRY} contradicts itself, or is of another version")
    return entry


def sizes(lake: Lake) -> dict[str, int]:
    """Digest → bytes of everything in its folder, half-written entries included. Raises `TransientDiffError`."""
    found: dict[str, int] = {}
    for path, size in lake.files(ROOT).items():
        digest = path.removeprefix(f"{ROOT}/").partition("/")[0]
        if DIGEST.fullmatch(digest):
            found[digest] = found.get(digest, 0) + size
    return found


def delete(lake: Lake, digest: str) -> None:
    """Let go of what is kept under `digest`; a reader sees all of it or nothing. Raises `TransientDiffError`."""
    lake.delete(_path(digest, ENTRY))
    lake.delete(f"{ROOT}/{digest}")


def _path(digest: str, name: str) -> str:
    return f"{ROOT}/{digest}/{name}"


def _name(part: Part, file: StoredFile) -> str:
    return f"{part}-{file.sha256[:16]}.parquet"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
