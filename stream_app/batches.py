"""What every agent does: takes a topic's records in batches, judges them, and loses nothing whenever it is killed.

The order is the promise. Signals and dead letters are acknowledged by the broker before any state that has
them behind it is written; states are on the changelog before they are in RocksDB; the events are
acknowledged last. Killed anywhere in between, the events come again: the states that were written ignore
them, the others make the same signals with the same ids. Of a batch that breaks a limit of failures nothing is done.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar, cast

import faust
from faust.types import EventT

from producers.codec import encode
from producers.dead_letters import Letter, Source, letter_of, requeued_from
from producers.events import Signal
from producers.topics import Topics
from stream_app.dying import die
from stream_app.failure_limits import FailureLimitReached, FailureLimits
from stream_app.raw_records import RawRecord, Refusal, RefusedBatch, RowKey
from stream_app.settings import StreamSettings
from stream_app.status import WorkerStatus
from stream_app.tables import ReplicatedTable
from stream_app.versions import UnreadableRecord

logger = logging.getLogger("streakline.stream")

BATCH_RECORDS = 1000
BATCH_WITHIN_SECONDS = 0.02


class Judged(Protocol):
    """What a batch comes to."""

    @property
    def signals(self) -> Sequence[Signal]:
        """To be published before any row is written."""

    @property
    def refusals(self) -> Sequence[Refusal]:
        """To be kept as dead letters before any row is written."""


J = TypeVar("J", bound=Judged)
T = TypeVar("T")


class BatchAgent(ABC, Generic[J]):
    """Judges one topic and keeps what is known in one table. `run` is the body of a Faust agent of concurrency 1."""

    def __init__(
        self,
        *,
        app: faust.App,
        topics: Topics,
        source: str,
        table: ReplicatedTable,
        decode: Callable[[bytes], object],
        settings: StreamSettings,
        status: WorkerStatus,
    ) -> None:
        """`decode` reads a row of the table, or raises `UnreadableRecord`."""
        self._app = app
        self._topics = topics
        self._source = source
        self._table = table
        self._decode = decode
        self._status = status
        self._limits = FailureLimits(settings, source)
        self._limits_generation: int | None = None
        # One writer: a batch and whatever else writes to the table take turns.
        self._writing = asyncio.Lock()

    @abstractmethod
    def judge(self, records: Sequence[RawRecord]) -> J:
        """What a batch comes to; changes nothing."""

    @abstractmethod
    def rows_of(self, judged: J) -> Mapping[RowKey, bytes]:
        """The rows that the batch changed."""

    @abstractmethod
    def applied(self, records: Sequence[RawRecord], judged: J) -> None:
        """Take note that the batch was applied and acknowledged."""

    async def run(self, stream: faust.StreamT[bytes]) -> None:
        """Take batches for as long as the worker lives; any failure ends the process with nothing acknowledged."""
        # It gives events, though its annotation says values; only the concrete class has it.
        events = cast("faust.Stream[EventT[bytes]]", stream)
        # noack_take turns acknowledging by itself off, and when it ends back to what it was: on SIGTERM, a moment
        # before the stream ends, every record still in its queue would be acknowledged and lost.
        events.enable_acks = False
        batches = events.noack_take(BATCH_RECORDS, within=BATCH_WITHIN_SECONDS)
        try:
            async for batch in batches:
                async with self._writing:
                    await self._apply(batch)
        except (FailureLimitReached, UnreadableRecord) as error:
            logger.critical("%s", error)
            die()
        except Exception:
            logger.critical("a batch of %s could not be applied", self._source, exc_info=True)
            die()

    async def on_recovered(self) -> None:
        """End the process, before it has judged anything, where a row cannot be read: that a later release wrote, say.

        To be called when the tables are recovered.
        """
        for key, raw in self._table.rows():
            try:
                self._decode(raw)
            except UnreadableRecord as error:
                logger.critical("%r of partition %d: %s", key.name.decode(errors="replace"), key.partition, error)
                die()

    def rows(self, decode: Callable[[bytes], T]) -> list[tuple[RowKey, T]]:
        """Every row of this worker, decoded; none while the tables are being recovered. For any thread."""
        generation = self._status.recovered_generation
        if generation is None:
            return []
        rows = [(key, decode(raw)) for key, raw in self._table.rows()]
        return rows if generation == self._status.recovered_generation else []

    async def write(self, values: Mapping[RowKey, bytes | None], generation: int) -> bool:
        """Make `values` durable; False, with RocksDB untouched, where a rebalance came between."""
        offsets = await self._table.replicate(values)
        if generation != self._app.consumer_generation_id:
            return False
        self._table.store(values, offsets)
        return True

    async def _apply(self, batch: Sequence[EventT[bytes]]) -> None:
        # What was taken before a rebalance will be delivered again, here or to another worker.
        generation = self._app.consumer_generation_id
        events = [event for event in batch if event.message.generation_id == generation]
        records = [_record(event) for event in events]
        judged = self.judge(records)
        self._check_limits(records, judged, generation)
        await self._publish(judged)
        if generation != self._app.consumer_generation_id:
            return
        if not await self.write(dict(self.rows_of(judged)), generation):
            return
        for event in events:
            event.ack()
        self.applied(records, judged)

    def _check_limits(self, records: Sequence[RawRecord], judged: J, generation: int) -> None:
        """Raises `FailureLimitReached`. A batch that is not applied for a rebalance is counted as little as it is."""
        if generation != self._limits_generation:
            self._limits.reset()
            self._limits_generation = generation
        self._limits.add(records, judged.refusals)

    async def _publish(self, judged: J) -> None:
        """Send signals and dead letters, and wait until the broker has them all."""
        send = self._app.producer.send
        signals, dead_letters = self._topics.signals, self._topics.dead_letters
        acknowledgements = [
            await send(signals, signal.run_id.encode(), encode(signal), None, None, None) for signal in judged.signals
        ] + [
            await send(dead_letters, letter.key, letter.value, None, None, letter.headers)
            for letter in (_letter(refusal, self._source) for refusal in judged.refusals)
        ]
        await asyncio.gather(*acknowledgements)
        for signal in judged.signals:
            logger.info("%s %s at step %d of %s", signal.severity, signal.type, signal.step, signal.run_id)
        if judged.refusals:
            logger.warning("%d records went to %s", len(judged.refusals), dead_letters)


def _record(event: EventT[bytes]) -> RawRecord:
    message = event.message
    return RawRecord(
        message.partition,
        message.offset,
        message.key,
        message.value,
        message.timestamp,
        requeued_from(message.headers),
    )


def _letter(refusal: Refusal, topic: str) -> Letter:
    record = refusal.record
    first = record.value.first_offset if isinstance(record.value, RefusedBatch) else None
    source = Source(topic, record.partition, record.offset, record.key, record.value, record.requeued_from, first)
    return letter_of(source, refusal.reason, refusal.detail)
