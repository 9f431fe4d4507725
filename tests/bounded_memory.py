"""How much memory something takes, found out in a process of its own."""

import multiprocessing
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_MORE_BYTES = 4 << 30
"""of address space; what asks for more is refused: a test that finds no bound must not be the machine's end"""
_SECONDS = 120


def in_a_child(work: Callable[[T], object], given: T) -> int:
    """By how many bytes `work(given)` raises the peak of what is resident. Fails where it does, or does not end."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(work, given, theirs))
    child.start()
    theirs.close()
    try:
        assert ours.poll(_SECONDS), f"it took more than {_SECONDS} s"
        grown = ours.recv()
    except EOFError:
        raise AssertionError("it failed, or was killed; its error is above") from None
    finally:
        child.kill()
        child.join()
    return int(grown)


def _measure(work: Callable[[T], object], given: T, answer: Connection) -> None:
    # The peak of a child begins at what its parent had.
    Path("/proc/self/clear_refs").write_text("5")
    before = _bytes("VmHWM")
    limit = _bytes("VmSize") + _MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    work(given)
    answer.send(_bytes("VmHWM") - before)


def _bytes(name: str) -> int:
    """Of a line in this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) << 10
