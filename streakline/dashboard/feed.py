"""What happens in the runs whose pages are open: one reader of Redis a run, for all who look at it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from streakline.dashboard.bell import Bell
from streakline.dashboard.redis_client import FAILURES, heed_cancellation
from streakline.dashboard.rows import LARGEST_EXACT
from stream_app.live import MAX_BATCHES, MAX_POINTS, LiveBatch, batches_key

if TYPE_CHECKING:
    from redis.asyncio import Redis

BLOCK_MILLISECONDS = 2000
LOADED_WITHIN_SECONDS = 2.0
_RETRY_SECONDS = 1.0
_MAX_SIGNALS = 1000
"""of a batch; there are seven types, and a batch is of a second"""

_decoder = msgspec.json.Decoder(LiveBatch)
_Id = tuple[int, int]


class Entry(Struct, frozen=True):
    """One batch, and its place in the stream."""

    id: str
    batch: LiveBatch


class RunFeed:
    """The newest entries of one run; `bell` rings when there are more."""

    def __init__(self, client: "Redis", key: str, run_id: str) -> None:
        self._client = client
        self._key = key
        self._run_id = run_id
        self._loaded = asyncio.Event()
        self._last = "0"
        """id of the entry read last, whatever was in it"""
        self.bell = Bell()
        self.entries: deque[Entry] = deque(maxlen=MAX_BATCHES)
        self.malformed = 0

    async def loaded(self) -> None:
        """Wait until what Redis has was read, or for as long as anyone should wait for it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOADED_WITHIN_SECONDS):
                await self._loaded.wait()

    def since(self, cursor: str) -> tuple[Entry, ...] | None:
        """What came after the entry of that id; None where some of it may be gone, or the id is unknown."""
        after = _parsed(cursor)
        if after is None or not self.entries or not _id(self.entries[0]) <= after <= _id(self.entries[-1]):
            return None
        newer = []
        for entry in reversed(self.entries):
            if _id(entry) <= after:
                break
            newer.append(entry)
        return tuple(reversed(newer))

    async def run(self) -> None:
        """Read until it is cancelled."""
        while True:
            try:
                if not self._loaded.is_set():
                    newest: Any = await self._client.xrevrange(self._key, count=MAX_BATCHES)
                    heed_cancellation()
                    self._take(reversed(newest))
                    self._loaded.set()
                await self._wait()
            except FAILURES:
                heed_cancellation()
                await asyncio.sleep(_RETRY_SECONDS)

    async def _wait(self) -> None:
        while True:
            answer: Any = await self._client.xread({self._key: self._last}, count=MAX_BATCHES, block=BLOCK_MILLISECONDS)
            heed_cancellation()
            for _, entries in answer:
                self._take(entries)

    def _take(self, entries: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> None:
        for raw_id, fields in entries:
            self._last = raw_id.decode()
            batch = _batch(fields.get(b"batch"), self._run_id)
            if batch is None:
                self.malformed += 1
            else:
                self.entries.append(Entry(self._last, batch))
        self.bell.ring()


class Feeds:
    """A feed for each run that somebody looks at."""

    def __init__(self, client: "Redis", prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._open: dict[str, tuple[RunFeed, asyncio.Task[None], int]] = {}

    @contextlib.asynccontextmanager
    async def watching(self, run_id: str) -> AsyncIterator[RunFeed]:
        """The feed of a run, which is read while the block runs."""
        if run_id not in self._open:
            made = RunFeed(self._client, batches_key(self._prefix, run_id), run_id)
            self._open[run_id] = made, asyncio.create_task(made.run(), name=f"feed of {run_id}"), 0
        feed, task, viewers = self._open[run_id]
        self._open[run_id] = feed, task, viewers + 1
        try:
            await feed.loaded()
            yield feed
        finally:
            feed, task, viewers = self._open[run_id]
            self._open[run_id] = feed, task, viewers - 1
            if viewers == 1:
                del self._open[run_id]
                task.cancel()


def _batch(raw: bytes | None, run_id: str) -> LiveBatch | None:
    """What is in an entry; None where it is none of ours, and nobody knows who wrote it."""
    try:
        batch = _decoder.decode(raw or b"")
    except (ValueError, RecursionError):
        return None
    if len(batch.points) > MAX_POINTS or len(batch.signals) > _MAX_SIGNALS:
        return None
    numbers = [batch.attempt, *(point.step for point in batch.points), *(signal.step for signal in batch.signals)]
    is_ours = all(signal.run_id == run_id for signal in batch.signals)
    return batch if is_ours and all(0 <= number < LARGEST_EXACT for number in numbers) else None


def _id(entry: Entry) -> _Id:
    milliseconds, _, number = entry.id.partition("-")
    return int(milliseconds), int(number)


def _parsed(cursor: str) -> _Id | None:
    milliseconds, _, number = cursor.partition("-")
    is_id = cursor.isascii() and milliseconds.isdecimal() and number.isdecimal() and len(cursor) <= 41
    return (int(milliseconds), int(number)) if is_id else None
