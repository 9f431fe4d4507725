"""How a process is hurt, whichever it is, while somebody starts it again each time it has ended."""

import contextlib
import random
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from streakline.processes import stop
from tests.faults.cases import How
from tests.heeding import heeds

KILLS = 30
_ENDING_SECONDS = 60.0
# A supervisor that does not wait would fill the machine with interpreters that die at once.
_RESTART_SECONDS = 0.2


class Supervised:
    """A process that is started again whenever it has ended, as the local stack and every supervisor do; where it
    `may_finish`, until it ends with 0.
    """

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]], *, may_finish: bool = False) -> None:
        self._start = start
        self._may_finish = may_finish
        self._lock = threading.RLock()
        self._is_closed = threading.Event()
        self.deaths: list[int] = []
        """the exit status of each process that has ended by itself"""
        self.process = start()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> int:
        """End it for good, as one does: with SIGTERM. Gives its exit status."""
        self._is_closed.set()
        self._thread.join()
        return stop(self.process, timeout_seconds=_ENDING_SECONDS)

    @contextlib.contextmanager
    def held_down(self) -> Iterator[None]:
        """Killed with SIGKILL, and started again only when the block is over."""
        with self._lock:
            self.process.kill()
            self.process.wait()
            try:
                yield
            finally:
                self.process = self._start()

    def restart(self, number: signal.Signals) -> int:
        """Send it a signal that ends it, and start it again. Gives its exit status."""
        with self._lock:
            self.process.send_signal(number)
            status = self.process.wait(_ENDING_SECONDS)
            self.process = self._start()
            return status

    def _watch(self) -> None:
        while not self._is_closed.wait(_RESTART_SECONDS):
            with self._lock:
                status = self.process.poll()
                has_finished = status == 0 and self._may_finish
                if status is not None and not has_finished:
                    self.deaths.append(status)
                    self.process = self._start()


class Fault(Struct, frozen=True):
    """What is done to a process, and what it takes to do it."""

    how: How
    data_dir: Path
    data_of_another: Path | None = None
    """a data directory that another process has left, where the fault is of that kind"""
    lasts_seconds: float = 6.0
    """for how long it is stopped, or its disk is full"""
    ends_with: int = 0
    """its exit status when it is asked to end"""
    gaps_seconds: tuple[float, float] = (0.1, 3.0)
    """between two of many kills, at least and at most; every third comes as early as possible"""


def hurt(victim: Supervised, fault: Fault, rng: random.Random) -> None:
    """Do it once, wait until it is over, and leave a process behind that may work."""
    match fault.how:
        case "SIGKILL":
            victim.restart(signal.SIGKILL)
        case "30 SIGKILLs":
            shortest, longest = fault.gaps_seconds
            for kill in range(KILLS):
                victim.restart(signal.SIGKILL)
                time.sleep(shortest if kill % 3 == 0 else rng.uniform(shortest, longest))
        case "SIGTERM":
            # One that heeds it does not do so before its interpreter has begun.
            while fault.ends_with >= 0 and not heeds(victim.process.pid, signal.SIGTERM):
                time.sleep(0.05)
            status = victim.restart(signal.SIGTERM)
            assert status == fault.ends_with, f"it ended with {status} when it was asked to end"
        case "SIGSTOP":
            victim.process.send_signal(signal.SIGSTOP)
            time.sleep(fault.lasts_seconds)
            victim.process.send_signal(signal.SIGCONT)
        case "disk full":
            _fill_the_disk(victim, fault.lasts_seconds)
        case "data emptied":
            with victim.held_down():
                shutil.rmtree(fault.data_dir, ignore_errors=True)
        case "data of another":
            assert fault.data_of_another is not None
            with victim.held_down():
                shutil.rmtree(fault.data_dir, ignore_errors=True)
                shutil.copytree(fault.data_of_another, fault.data_dir)


def _fill_the_disk(victim: Supervised, lasts_seconds: float) -> None:
    """No file grows any more, for it and whatever is started in its place; then there is room again.

    A limit on the size of files needs no privilege and no disk of its own: writing fails with EFBIG in place of
    ENOSPC, and halfway through where a file just reaches it.
    """
    ends = time.monotonic() + lasts_seconds
    while time.monotonic() < ends:
        limit_files(victim.process.pid, 0)
        time.sleep(0.05)
    limit_files(victim.process.pid, resource.RLIM_INFINITY)


def limit_files(pid: int, size_bytes: int) -> None:
    """Let no file of the process grow beyond `size_bytes`; nothing where it has ended."""
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))
