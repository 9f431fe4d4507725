"""A power cut, as unkind as POSIX allows: what was not fsynced is gone, be it bytes of a file or a name in a folder."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch


class Disk:
    """What has reached it of each file and folder, by inode."""

    def __init__(self) -> None:
        self._data: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """For as long as the block runs, what is fsynced in this process reaches the disk."""
        real = os.fsync

        def fsync(descriptor: int) -> None:
            real(descriptor)
            self._keep(Path(f"/proc/self/fd/{descriptor}").resolve())

        with patch.object(os, "fsync", fsync):
            yield

    def after_the_cut(self, folder: Path, into: Path) -> None:
        """Write what is left of `folder`, which was there all the time, as `into`."""
        into.mkdir()
        for name, inode in self._names.get(folder.stat().st_ino, {}).items():
            path = folder / name
            if not path.exists() or path.stat().st_ino != inode:
                continue  # It has another name by now, of which the disk knows as well or not.
            if path.is_dir():
                self.after_the_cut(path, into / name)
            else:
                (into / name).write_bytes(self._data.get(inode, b""))

    def _keep(self, path: Path) -> None:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            self._names[found.st_ino] = {each.name: each.stat().st_ino for each in path.iterdir()}
        else:
            self._data[found.st_ino] = path.read_bytes()
