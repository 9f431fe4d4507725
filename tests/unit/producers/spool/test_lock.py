"""A lock is the process's own that took it, whenever that forks."""

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from producers.spool.lock import Lock


@contextmanager
def child() -> Iterator[None]:
    """A fork of this process that lives, and does nothing."""
    process = os.fork()
    if not process:
        signal.pause()
        os._exit(0)
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def take_soon(path: Path) -> Lock:
    """The lock on `path`, once a child that was just forked has come so far that it lets go of it."""
    deadline = time.monotonic() + 10
    while (lock := Lock.take(path)) is None:
        assert time.monotonic() < deadline, "the child keeps it"
        time.sleep(0.01)
    return lock


def slow(at: Event, seconds: float) -> Callable[[int, int], None]:
    """`fcntl.flock`, which says that it begins and takes its time."""
    flock = fcntl.flock

    def lock(file: int, operation: int) -> None:
        at.set()
        time.sleep(seconds)
        flock(file, operation)

    return lock


def test_a_child_does_not_keep_what_its_parent_had(tmp_path: Path) -> None:
    lock = Lock.take(tmp_path / "lock", make=True)
    assert lock is not None
    with child():
        assert Lock.take(tmp_path / "lock") is None
        lock.release()
        take_soon(tmp_path / "lock").release()


def test_a_child_forked_while_a_lock_is_taken_does_not_keep_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Lock | None] = []
    at = Event()
    monkeypatch.setattr(fcntl, "flock", slow(at, 0.2))
    thread = Thread(target=lambda: taken.append(Lock.take(tmp_path / "lock", make=True)))
    thread.start()
    assert at.wait(10)
    with child():
        monkeypatch.undo()
        thread.join()
        (lock,) = taken
        assert lock is not None
        lock.release()
        take_soon(tmp_path / "lock").release()


def test_a_disk_that_hangs_does_not_hang_who_forks_nor_the_next_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, waited = Event(), Event()

    def hang(_: int, __: int) -> None:
        at.set()
        assert waited.wait(60)

    monkeypatch.setattr(fcntl, "flock", hang)
    thread = Thread(target=lambda: Lock.take(tmp_path / "lock", make=True))
    thread.start()
    assert at.wait(10)
    with child():
        waited.set()
        thread.join()
    monkeypatch.undo()
    other = Lock.take(tmp_path / "other", make=True)
    assert other is not None
    other.release()
