"""Child processes that end when we do, and free ports for them."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def free_port(preferred: int = 0) -> int:
    """A loopback TCP port that nothing listened on a moment ago: `preferred`, where it can be had."""
    with socket.socket() as probe:
        # As servers do: a connection that was closed a minute ago does not keep a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def spawn(
    command: Sequence[str | Path], *, log: Path | None = None, environ: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `command` with `environ` added to ours, its output appended to `log` (none: thrown away).

    It has its own process group, so that a Ctrl-C reaches it through us and not beside us, and on Linux
    it gets a SIGTERM should we die without a word.
    """
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log is not None else subprocess.DEVNULL
        return subprocess.Popen(  # noqa: S603 - a list, and no shell
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environ or {})},
            preexec_fn=_die_with_parent,  # noqa: PLW1509
        )


def _die_with_parent() -> None:
    os.setpgrp()
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Within the block SIGINT and SIGTERM wait, and have their effect at its end; in the main thread only.

    `Popen` takes a lock even to ask whether a process has ended. A KeyboardInterrupt at the wrong instruction leaves it
    taken, and whoever waits for the process then waits for ever.
    """
    came: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def stop(process: subprocess.Popen[bytes], *, timeout_seconds: float = 10.0) -> int:
    """Ask `process` to end, kill it when it does not in time, and return its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def is_listening(port: int) -> bool:
    """Whether something answers on the loopback `port`."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
        return True
    return False


def wait_for_port(process: subprocess.Popen[bytes], port: int, *, timeout_seconds: float = 15.0) -> bool:
    """Whether `process` listens on the loopback `port` before the time is over and without ending first."""
    deadline = time.monotonic() + timeout_seconds
    while process.poll() is None and time.monotonic() < deadline:
        if is_listening(port):
            return True
        time.sleep(0.05)
    return False
