"""The Redis of a local stack: a server of its own, or one that is there already."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from streakline.processes import free_port, stop, wait_for_port
from streakline.redis_server import RedisServerError, redis_command
from streakline.services import Program, Service

_LOOPBACK = "127.0.0.1"


class StackRedisSettings(Struct, frozen=True, kw_only=True):
    """Which Redis diff workers share their load through, and live runs are shown in."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 6379
    """of the local server, on the loopback interface; where it is taken, or 0, any free one"""
    url: str | None = None
    """of a server that is there already, and used in place of a local one"""


class LocalRedis(NamedTuple):
    """A Redis server of this stack's own."""

    port: int
    program: Program

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{_LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """What its clients are given."""
        return f"redis://{self.address}/0"


def local_redis(settings: StackRedisSettings, *, say: Callable[[str], None]) -> LocalRedis | None:
    """The server to be started; None where another is used, and where none is installed, which is said."""
    if settings.url is not None:
        return None
    port = free_port(settings.port)
    try:
        command = redis_command(port)
    except RedisServerError as error:
        say(f"no Redis, so neither live runs nor progress of diffs are shown: {error}")
        return None
    if settings.port and port != settings.port:
        say(f"port {settings.port} is taken: redis listens on {port}")
    return LocalRedis(port, Program("redis", command))


def start_local_redis(redis: LocalRedis, logs: Path) -> Service:
    """The server, listening. Raises `RedisServerError` where it does not."""
    service = Service(redis.program, logs)
    if not wait_for_port(service.process, redis.port):
        stop(service.process)
        raise RedisServerError(f"the local Redis server did not start on port {redis.port}: see {logs}")
    return service
