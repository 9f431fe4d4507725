"""Folders say whose they are and whether their owner lives, and one process at a time has one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from producers.spool.folder import Folder, Owner, folders, lock_of_the_heir, read_owner, sweep

OWNER = Owner(run_id="run", bootstrap="127.0.0.1:1", steps="steps", runs="runs")
_ADOPTS = """
import sys
import time
from pathlib import Path
from producers.spool.folder import Folder
sys.stdin.readline()
print(sum(Folder.adopt(Path(path)) is not None for path in sys.argv[1:]), flush=True)
sys.stdin.readline()
"""


def test_the_owner_is_written_and_read(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path / "made" / "too", OWNER)
    assert list(folders(tmp_path / "made" / "too")) == [folder.path]
    assert read_owner(folder.path) == OWNER
    assert {oct(path.stat().st_mode & 0o077) for path in (folder.path, folder.path.parent)} == {"0o0"}


def test_the_oldest_is_first_and_a_run_finds_its_own(tmp_path: Path) -> None:
    other = Owner(run_id="other", bootstrap="127.0.0.1:1", steps="steps", runs="runs")
    made = [Folder.create(tmp_path, owner).path for owner in (OWNER, other, OWNER)]
    assert list(folders(tmp_path)) == made
    assert list(folders(tmp_path, "run")) == [made[0], made[2]]
    assert list(folders(tmp_path / "nowhere")) == []


def test_what_nobody_finished_making_or_removing_is_swept_after_an_hour(tmp_path: Path) -> None:
    whole = Folder.create(tmp_path, OWNER).path
    old, young = tmp_path / ".old", tmp_path / ".young"
    for path in (old, young):
        path.mkdir()
        (path / "lock").touch()
    for path in (old, whole):
        os.utime(path, (0, time.time() - 3_700))
    lock_of_the_heir(tmp_path)
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".young", ".heir", whole.name}


def test_who_lives_is_not_inherited_from(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path, OWNER)
    assert Folder.adopt(folder.path) is None
    folder.close()
    adopted = Folder.adopt(folder.path)
    assert adopted is not None
    assert adopted.owner == OWNER
    assert Folder.adopt(folder.path) is None
    adopted.remove()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        Folder.adopt(folder.path)


def test_of_many_who_adopt_at_once_one_has_it(tmp_path: Path) -> None:
    paths = []
    for _ in range(20):
        folder = Folder.create(tmp_path, OWNER)
        folder.close()
        paths.append(str(folder.path))
    command = [sys.executable, "-c", _ADOPTS, *paths]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    try:
        counts = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            counts.append(int(process.stdout.readline()))
        assert sum(counts) == 20
    finally:
        for process in processes:
            process.communicate("done\n", timeout=30)


def test_a_forked_child_holds_no_lock_of_its_parents(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path, OWNER)
    go, woken = os.pipe()
    lives, is_up = os.pipe()
    child = os.fork()
    if not child:
        os.write(is_up, b".")
        os.read(go, 1)
        os._exit(0)
    try:
        os.read(lives, 1)
        folder.close()
        adopted = Folder.adopt(folder.path)
        assert adopted is not None
        adopted.close()
    finally:
        os.write(woken, b".")
        os.waitpid(child, 0)
        for end in (go, woken, lives, is_up):
            os.close(end)


def test_a_folder_that_is_being_removed_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder.create(tmp_path, OWNER)
    # As if the process died before the first of the files was gone.
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    folder.remove()
    assert list(folders(tmp_path)) == []


def test_there_is_one_heir(tmp_path: Path) -> None:
    first = lock_of_the_heir(tmp_path)
    assert first is not None
    assert lock_of_the_heir(tmp_path) is None
    first.release()
    second = lock_of_the_heir(tmp_path)
    assert second is not None
    second.release()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"run_id": "run", "bootstrap": "b:1", "steps": "s", "runs": "r", "version": 2}',
        b'{"run_id": "a run", "bootstrap": "b:1", "steps": "s", "runs": "r"}',
        b'{"run_id": "run", "bootstrap": "b:1", "steps": "../s", "runs": "r"}',
        b'{"run_id": "run", "bootstrap": "b:1", "steps": "s", "runs": "r", "x": "' + b"x" * 100_000 + b'"}',
    ],
)
def test_an_owner_that_cannot_be_right_is_told_of(tmp_path: Path, raw: bytes) -> None:
    folder = Folder.create(tmp_path, OWNER)
    folder.close()
    (folder.path / "owner.json").write_bytes(raw)
    with pytest.raises(ValueError, match=r"owner\.json"):
        Folder.adopt(folder.path)
    with pytest.raises(ValueError, match=r"owner\.json"):
        Folder.adopt(folder.path)  # The lock was let go of, or this would be None.


def test_a_folder_of_a_later_release_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path, OWNER)
    folder.close()
    later = b'{"run":{"id":"r"},"version":2}'
    (folder.path / "owner.json").write_bytes(later)
    for read in (read_owner, Folder.adopt):
        with pytest.raises(ValueError, match="of version 2, this release reads 1 at most; `streakline spool flush` of"):
            read(folder.path)
    assert (folder.path / "owner.json").read_bytes() == later
