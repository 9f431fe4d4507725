"""Redis and the diff workers, on this machine and for this stack only."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from streakline.extras import missing_for_diffs
from streakline.processes import free_port, stop, wait_for_port
from streakline.redis_server import RedisServerError, redis_command
from streakline.services import Program, Service

Port = Annotated[int, Meta(ge=0, le=65_535)]

SESSION_TIMEOUT_SECONDS = "6"
"""of a diff worker; to join takes half of it on the local broker"""

_LOOPBACK = "127.0.0.1"


class DiffingSettings(Struct, frozen=True, kw_only=True):
    """What to start beside the stream workers."""

    workers: Annotated[int, Meta(ge=0, le=8)] = 1
    metrics_port: Port = 9465
    """of the first diff worker, the others follow; 0: any free ports"""
    redis_port: Port = 6379
    """of the local Redis, on the loopback interface; where it is taken, or 0, any free one"""
    redis_url: str | None = None
    """of a Redis that is there already, and used in place of a local one"""
    worker_environ: Mapping[str, str] = {}
    """variables of the diff workers, which go before those of our own environment"""


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


class Diffing:
    """Where Redis and the lake are, and how diff workers are run. What cannot be had is said, and done without."""

    def __init__(self, settings: DiffingSettings, state_dir: Path, *, say: Callable[[str], None]) -> None:
        self._given = settings.worker_environ
        self._environ = {**os.environ, **self._given}
        lake = self._environ.get("STREAKLINE_LAKE") or str(state_dir / "lake")
        self.lake = lake if "://" in lake else str(Path(lake).absolute())
        self.redis = _local_redis(settings.redis_port, say) if settings.redis_url is None else None
        """None where another is used, or none"""
        self.workers = settings.workers
        self._redis_url = settings.redis_url if self.redis is None else self.redis.url
        self._metrics_port = settings.metrics_port
        missing = missing_for_diffs()
        if self.workers and missing is not None:
            self.workers = 0
            say(f"no diff worker: {missing} is not installed: pip install 'streakline[workers]'")

    def worker_port(self, index: int) -> int:
        """Where the diff worker of this number serves its metrics."""
        return self._metrics_port + index if self._metrics_port else free_port()

    def worker_environ(self) -> dict[str, str]:
        """What every diff worker is told, beside where Kafka is. What its environment says of it stands."""
        defaults = {
            "STREAKLINE_MODEL_ROOTS": str(Path.cwd()),
            "STREAKLINE_SESSION_TIMEOUT_SECONDS": SESSION_TIMEOUT_SECONDS,
        }
        chosen = {name: self._environ.get(name) or default for name, default in defaults.items()}
        environ = {**self._given, **chosen, "STREAKLINE_LAKE": self.lake}
        return environ if self._redis_url is None else {**environ, "STREAKLINE_REDIS_URL": self._redis_url}


def start_redis(redis: LocalRedis, logs: Path) -> Service:
    """The server, listening. Raises `RedisServerError` where it does not."""
    service = Service(redis.program, logs)
    if not wait_for_port(service.process, redis.port):
        stop(service.process)
        raise RedisServerError(f"the local Redis server did not start on port {redis.port}: see {logs}")
    return service


def _local_redis(preferred: int, say: Callable[[str], None]) -> LocalRedis | None:
    port = free_port(preferred)
    try:
        command = redis_command(port)
    except RedisServerError as error:
        say(f"no Redis, so progress of diffs is not shown: {error}")
        return None
    if preferred and port != preferred:
        say(f"port {preferred} is taken: redis listens on {port}")
    return LocalRedis(port, Program("redis", command))
