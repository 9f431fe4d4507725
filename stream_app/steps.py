"""The agent that owns every run: takes steps in batches, judges them, and loses nothing whenever it is killed.

The order is the promise. Signals and dead letters are acknowledged by the broker before any state that has
them behind it is written; states are on the changelog before they are in RocksDB; the events are
acknowledged last. Killed anywhere in between, the events come again: the states that were written ignore
them, the others make the same signals with the same ids.
"""

import asyncio
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn, cast

import faust
from faust.types import EventT

from producers.codec import encode
from producers.topics import Topics
from stream_app.dead_letters import headers_of, value_of
from stream_app.engine.thresholds import ThresholdPolicy
from stream_app.expiry import expired_keys, is_expired
from stream_app.judging import Judgement, RawRecord, RunKey, judge
from stream_app.metrics import StreamMetrics
from stream_app.records import RunHead, encode_record
from stream_app.settings import StreamSettings
from stream_app.status import WorkerStatus
from stream_app.tables import RunTable

logger = logging.getLogger("streakline.stream")

BATCH_RECORDS = 1000
BATCH_WITHIN_SECONDS = 0.02

# sysexits' EX_SOFTWARE: the supervisor starts us again, and the events that were not acknowledged come again.
EXIT_FAILED = 70


class StepsAgent:
    """Judges the steps topic. `run` is the body of a Faust agent of concurrency 1."""

    def __init__(
        self,
        *,
        app: faust.App,
        topics: Topics,
        table: RunTable,
        policy: ThresholdPolicy,
        settings: StreamSettings,
        metrics: StreamMetrics,
        status: WorkerStatus,
    ) -> None:
        self._app = app
        self._topics = topics
        self._table = table
        self._policy = policy
        self._settings = settings
        self._metrics = metrics
        self._status = status
        # One writer: a batch and the deletion of expired runs take turns.
        self._writing = asyncio.Lock()

    async def on_recovered(self) -> None:
        """Hold the flow of records until Faust has set its positions; to be called when the tables are recovered.

        Faust lets the steps flow before it seeks to the committed offsets, and resumes the flow after: which
        empties the streams' queues. What was read in between is not read again, and lost.
        """
        self._app.consumer.stop_flow()
        self._status.recovered()
        logger.info("states recovered, judging %s", self._topics.steps)

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
        except Exception:
            logger.critical("a batch could not be applied", exc_info=True)
            _die()

    def runs(self) -> Iterable[tuple[RunKey, RunHead]]:
        """Every run this worker judges; none while the tables are being recovered. For any thread."""
        generation = self._status.recovered_generation
        if generation is None:
            return []
        heads = list(self._table.heads())
        return heads if generation == self._status.recovered_generation else []

    async def delete_expired(self) -> None:
        """Delete the states of runs that ended or fell silent long ago."""
        # Until the tables are recovered they hold old states of runs that have long gone on.
        generation = self._status.recovered_generation
        if generation is None:
            return
        try:
            # Reading every state takes a while at 10,000 runs, and the event loop has steps to judge.
            keys = await asyncio.to_thread(expired_keys, self._table.heads(), self._settings, time.time())
            if not keys:
                return
            async with self._writing:
                if generation != self._app.consumer_generation_id:
                    return
                # Read again: a batch may have revived a run meanwhile.
                now = time.time()
                heads = {key: self._table.load_head(key) for key in keys}
                gone = [key for key, head in heads.items() if head and is_expired(head, self._settings, now)]
                if await self._write(dict.fromkeys(gone), generation):
                    self._metrics.count_expired(len(gone))
        except Exception:
            logger.critical("expired runs could not be deleted", exc_info=True)
            _die()

    async def _apply(self, batch: Sequence[EventT[bytes]]) -> None:
        # What was taken before a rebalance will be delivered again, here or to another worker.
        generation = self._app.consumer_generation_id
        events = [event for event in batch if event.message.generation_id == generation]
        records = [_record(event) for event in events]
        judgement = judge(records, self._table.load, self._policy, time.time())
        await self._publish(judgement)
        if generation != self._app.consumer_generation_id:
            return
        values = {key: encode_record(run) for key, run in judgement.runs.items()}
        if not await self._write(values, generation):
            return
        for event in events:
            event.ack()
        self._status.applied(records)
        self._metrics.count(len(records), judgement, time.time())

    async def _publish(self, judgement: Judgement) -> None:
        """Send signals and dead letters, and wait until the broker has them all."""
        send = self._app.producer.send
        signals, dead_letters, source = self._topics.signals, self._topics.dead_letters, self._topics.steps
        acknowledgements = [
            await send(signals, signal.run_id.encode(), encode(signal), None, None, None)
            for signal in judgement.signals
        ] + [
            await send(dead_letters, refusal.record.key, value_of(refusal), None, None, headers_of(refusal, source))
            for refusal in judgement.refusals
        ]
        await asyncio.gather(*acknowledgements)
        for signal in judgement.signals:
            logger.info("%s %s at step %d of %s", signal.severity, signal.type, signal.step, signal.run_id)
        if judgement.refusals:
            logger.warning("%d records went to %s", len(judgement.refusals), dead_letters)

    async def _write(self, values: Mapping[RunKey, bytes | None], generation: int) -> bool:
        """Make `values` durable; False, with RocksDB untouched, where a rebalance came between."""
        offsets = await self._table.replicate(values)
        if generation != self._app.consumer_generation_id:
            return False
        self._table.store(values, offsets)
        return True


def _record(event: EventT[bytes]) -> RawRecord:
    message = event.message
    return RawRecord(message.partition, message.offset, message.key, message.value, message.timestamp)


def _die() -> NoReturn:
    """End at once: whatever was not acknowledged comes again, to us or to another worker."""
    logging.shutdown()
    os._exit(EXIT_FAILED)
