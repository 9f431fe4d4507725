"""The board on which a worker shows how far its diff is, and counts how often a job was begun."""

import contextlib
import time
from collections.abc import Iterator
from typing import Annotated

import msgspec
import redis
from msgspec import Meta, Struct

from producers.events import RunId
from producers.redis.client import away
from workers.progress import Stage

SHOWN_SECONDS = 60
"""after which what a dead worker showed is gone"""
_ATTEMPTS_SECONDS = 7 * 24 * 3600
_INTERVAL_SECONDS = 0.5
_AWAY_SECONDS = 30.0


class JobProgress(Struct, frozen=True, kw_only=True):
    """How far one diff is."""

    run_id: RunId
    attempt: int
    stage: Stage
    percent: Annotated[float, Meta(ge=0, le=100)]
    """of the whole diff, 0 to 100"""
    eta_seconds: float | None
    """None while nothing can be said"""
    worker: str


_decoder = msgspec.json.Decoder(JobProgress)


def progress_in(value: str | bytes) -> JobProgress | None:
    """What Redis has of a diff; None where it is none: anyone may write there."""
    try:
        return _decoder.decode(value)
    except (ValueError, RecursionError):
        return None


class Board:
    """Shown best effort: a server that is away keeps nobody from working."""

    def __init__(self, client: "redis.Redis", prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._due = 0.0

    def show(self, progress: JobProgress, *, at_once: bool = False) -> None:
        """Put it up, at most twice a second unless `at_once`; while the server is away it is tried twice a minute."""
        now = time.monotonic()
        if now < self._due and not at_once:
            return
        self._due = now + _INTERVAL_SECONDS
        try:
            self._client.set(self._key(progress.run_id), msgspec.json.encode(progress), ex=SHOWN_SECONDS)
        except redis.RedisError:
            # A server that hangs costs seconds each time, which may be longer than what there is to show takes.
            self._due = time.monotonic() + _AWAY_SECONDS

    def take_down(self, run_id: str) -> None:
        """The job is over, or somebody else's."""
        with contextlib.suppress(redis.RedisError):
            self._client.delete(self._key(run_id))

    def all(self) -> Iterator[JobProgress]:
        """Every diff in progress. Raises `RedisAway`; what is no progress is left out: anyone may write to Redis."""
        try:
            keys = list(self._client.scan_iter(f"{self._prefix}progress:*", count=1000))
            values = self._client.mget(keys) if keys else []
        except redis.RedisError as error:
            raise away(error) from None
        for value in values:
            if value is not None and (progress := progress_in(value)) is not None:
                yield progress

    def begin(self, job: str) -> int:
        """How often `job` has been begun by now, this time included. Raises `RedisAway`.

        Counted before it begins: a job that takes its worker down with it must not do so for ever.
        """
        return self._count(f"{self._prefix}attempts:{job}")

    def end(self, job: str) -> None:
        """It has ended, well or not, or was handed back: it may be asked for again."""
        with contextlib.suppress(redis.RedisError):
            self._client.delete(f"{self._prefix}attempts:{job}")

    def failed(self, machine: str) -> int:
        """How many jobs in a row failed on `machine` by now, this one included. Raises `RedisAway`.

        Kept outside of the worker: one that is started over and over must not begin anew each time.
        """
        return self._count(f"{self._prefix}failures:{machine}")

    def succeeded(self, machine: str) -> None:
        """The row has ended."""
        with contextlib.suppress(redis.RedisError):
            self._client.delete(f"{self._prefix}failures:{machine}")

    def _count(self, key: str) -> int:
        both = self._client.pipeline()
        both.incr(key)
        both.expire(key, _ATTEMPTS_SECONDS)
        try:
            count, _ = both.execute()
        except redis.RedisError as error:
            raise away(error) from None
        return int(count)

    def _key(self, run_id: str) -> str:
        return f"{self._prefix}progress:{run_id}"
