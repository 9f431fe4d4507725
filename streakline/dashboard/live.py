"""Reads the list of live runs and the diffs in progress from Redis, once a second for everyone who looks."""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from producers.redis.client import remedy
from streakline.dashboard.overview import Overview, SourceState
from streakline.dashboard.redis_client import FAILURES, heed_cancellation
from stream_app.live import LiveRun, index_key, run_key
from workers.coordination.board import JobProgress, progress_in

if TYPE_CHECKING:
    from redis.asyncio import Redis

PAUSE_SECONDS = 1.0
_SHARE = 0.2
"""of the time, at most, goes into reading"""
_WHOLE_EVERY = 30
_DIFFS_EVERY = 2
_AT_ONCE = 500

_run_decoder = msgspec.json.Decoder(LiveRun)


class LiveReader:
    """Keeps `overview` as Redis is."""

    def __init__(self, client: "Redis", prefix: str, overview: Overview) -> None:
        self._client = client
        self._prefix = prefix
        self._overview = overview
        self._scores: dict[bytes, float] = {}
        """of each entry of the index, as last read"""
        self._runs: dict[str, LiveRun] = {}
        self._malformed: set[bytes] = set()
        self._malformed_diffs = 0
        self._diffs: tuple[JobProgress, ...] = ()
        self._rounds = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            started = time.monotonic()
            await self.poll()
            heed_cancellation()
            await asyncio.sleep(max(PAUSE_SECONDS, (time.monotonic() - started) / _SHARE))

    async def poll(self) -> None:
        """Look once. A server that is away is said to be, and what was read last stays."""
        try:
            await self._read()
        except FAILURES as error:
            # All of it, once it is back: it may have lost everything.
            self._rounds = 0
            away = f"Redis does not answer ({type(error).__name__}): {remedy(error)}."
            detail = f"{away} What is shown of live runs is from before that."
            state = SourceState(state="away", detail=detail)
        else:
            self._rounds += 1
            malformed = len(self._malformed) + self._malformed_diffs
            state = SourceState(state="ok" if self._runs else "empty", malformed=malformed)
        self._overview.show_redis(state, self._diffs)

    async def _read(self) -> None:
        is_whole = self._rounds % _WHOLE_EVERY == 0
        if is_whole or self._rounds % _DIFFS_EVERY == 0:
            await self._read_diffs()
        # All of it: what was written late, of a time when Redis was away, stands far back.
        index: Any = await self._client.zrange(index_key(self._prefix), 0, -1, withscores=True)
        for name in self._scores.keys() - {name for name, _ in index}:
            self._forget(name)
        # A score that is the same: nothing was written since.
        written = [(name, score) for name, score in index if is_whole or self._scores.get(name) != score]
        for start in range(0, len(written), _AT_ONCE):
            await self._take(written[start : start + _AT_ONCE])
        self._overview.show_live(self._runs.copy())

    async def _take(self, written: Sequence[tuple[bytes, float]]) -> None:
        values: Any = await self._client.mget([run_key(self._prefix, "").encode() + name for name, _ in written])
        for (name, score), value in zip(written, values, strict=True):
            if value is None:
                self._forget(name)
                continue
            self._scores[name] = score
            run = _decoded(name, value)
            if run is None:
                self._runs.pop(_text(name), None)
                self._malformed.add(name)
                continue
            self._malformed.discard(name)
            # What is the same stays the same object: it is not merged again.
            if self._runs.get(run.run_id) != run:
                self._runs[run.run_id] = run

    def _forget(self, name: bytes) -> None:
        self._scores.pop(name, None)
        self._malformed.discard(name)
        self._runs.pop(_text(name), None)

    async def _read_diffs(self) -> None:
        pattern = f"{_literal(self._prefix)}progress:*"
        keys = [key async for key in self._client.scan_iter(pattern, count=1000)]
        found, malformed = [], 0
        for value in await self._client.mget(keys) if keys else ():
            if value is not None:
                progress = progress_in(value)
                malformed += progress is None
                found += [] if progress is None else [progress]
        self._diffs = tuple(sorted(found, key=lambda each: (-each.percent, each.run_id)))
        self._malformed_diffs = malformed


def _decoded(name: bytes, value: bytes) -> LiveRun | None:
    try:
        run = _run_decoder.decode(value)
    except (ValueError, RecursionError):
        return None
    return run if run.run_id.encode() == name else None


def _text(name: bytes) -> str:
    return name.decode(errors="replace")


def _literal(prefix: str) -> str:
    r"""`prefix` as a pattern that matches it alone.

    >>> _literal("team*.")
    'team\\*.'
    """
    return "".join(f"\\{each}" if each in "*?[]\\^-" else each for each in prefix)
