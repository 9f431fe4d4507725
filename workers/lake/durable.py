"""Files that are there whole or not at all, and still are after a power cut."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from workers.lake.paths import TEMPORARY_SUFFIX

_TRIES = 10
"""to make a folder and a file in it, before it is said that they cannot be made"""
_durable: set[Path] = set()
"""folders that this process knows to be there after a power cut, where they are there at all"""


def unconfirmed() -> None:
    """Whoever writes may write."""


def replace(path: Path, data: bytes, confirm: Callable[[], None] = unconfirmed) -> None:
    """Make the local file `path` hold `data`, durably; whoever opens it meanwhile sees the old one, or none.

    `confirm` is called last, when nothing is left to do but to give the file its name: what it raises goes through,
    and nothing is there. A crash leaves at most a hidden temporary file beside it, which `compact` clears away. Raises
    OSError.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        with _opened(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        confirm()
        os.replace(temporary, path)  # noqa: PTH105 - named as in the contract, and by the tests that make it fail
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _opened(path: Path) -> BinaryIO:
    """`path`, made anew with its folder; `compact` may delete that between the two while it is empty."""
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):
            _make_folder(path.parent)
            return path.open("xb")
    raise FileNotFoundError(f"{path.parent} goes as soon as it is made")


def _make_folder(path: Path) -> None:
    """Make `path` durably: after a power cut, a diff's `runs` must not be there without the folders of its tables.

    A folder that is there already may be that of a writer who was killed before it was durable.
    """
    is_there = path.is_dir()
    if (is_there and path in _durable) or path == path.parent:
        return
    _make_folder(path.parent)
    if not is_there:
        path.mkdir(exist_ok=True)
    # Above the lake there are folders that this user may not open, or that are on no disk.
    with suppress(*([OSError] if is_there else [])):
        _sync_folder(path.parent)
    _durable.add(path)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
