"""The agent that owns every run: judges the steps topic, and forgets the runs that are over."""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import faust

from producers.printable import printable
from producers.topics import Topics
from stream_app.batches import BatchAgent
from stream_app.dying import die
from stream_app.engine.thresholds import ThresholdPolicy
from stream_app.expiry import expired_keys, is_expired
from stream_app.judging import Judgement, judge
from stream_app.metrics import StreamMetrics
from stream_app.mirror import Mirror
from stream_app.raw_records import RawRecord, RowKey
from stream_app.records import RunHead, RunRecord, decode_head, decode_record, encode_record
from stream_app.run_news import news_of
from stream_app.settings import StreamSettings
from stream_app.status import WorkerStatus
from stream_app.tables import ReplicatedTable

logger = logging.getLogger("streakline.stream")


class StepsAgent(BatchAgent[Judgement]):
    """Judges the steps topic. The promise of `BatchAgent` is its own."""

    def __init__(
        self,
        *,
        app: faust.App,
        topics: Topics,
        table: ReplicatedTable,
        policy: ThresholdPolicy,
        settings: StreamSettings,
        metrics: StreamMetrics,
        status: WorkerStatus,
        mirror: Mirror | None = None,
    ) -> None:
        super().__init__(
            app=app,
            topics=topics,
            source=topics.steps,
            table=table,
            decode=decode_head,
            settings=settings,
            status=status,
        )
        self._policy = policy
        self._settings = settings
        self._metrics = metrics
        self._mirror = mirror
        self._told_of: set[str] = set()

    async def on_recovered(self) -> None:
        """And hold the flow of records until Faust has set its positions.

        Faust lets the records of every topic flow before it seeks to the committed offsets, and resumes the flow
        after: which empties the streams' queues. What was read in between is not read again, and lost.
        """
        await super().on_recovered()
        self._app.consumer.stop_flow()
        self._status.recovered()
        if self._mirror is not None:
            self._mirror.recovered(lambda: self.rows(decode_record))
        logger.info("states recovered, judging %s and %s", self._topics.steps, self._topics.diffs)

    def judge(self, records: Sequence[RawRecord]) -> Judgement:
        """What a batch of steps comes to. Raises `UnreadableRecord`."""
        return judge(records, self._load, self._policy, time.time())

    def rows_of(self, judged: Judgement) -> Mapping[RowKey, bytes]:
        """The runs that the batch changed."""
        return {key: encode_record(run) for key, run in judged.runs.items()}

    def applied(self, records: Sequence[RawRecord], judged: Judgement) -> None:
        """Take note of a batch, for lag, readiness, counters and whoever watches live."""
        self._status.applied(records)
        self._metrics.count(len(records), judged, time.time())
        for failure in judged.failures:
            if failure.type not in self._told_of:
                self._told_of.add(failure.type)
                logger.warning("%s; the next ones are only counted", printable(failure.sentence))
        if self._mirror is not None:
            self._mirror.show(news_of(judged))

    def runs(self) -> Iterable[tuple[RowKey, RunHead]]:
        """Every run this worker judges; none while the tables are being recovered. For any thread."""
        return self.rows(decode_head)

    async def delete_expired(self) -> None:
        """Delete the states of runs that ended or fell silent long ago."""
        # Until the tables are recovered they hold old states of runs that have long gone on.
        generation = self._status.recovered_generation
        if generation is None:
            return
        try:
            # Reading every state takes a while at 10,000 runs, and the event loop has steps to judge.
            keys = await asyncio.to_thread(expired_keys, self._heads(), self._settings, time.time())
            if not keys:
                return
            async with self._writing:
                if generation != self._app.consumer_generation_id:
                    return
                # Read again: a batch may have revived a run meanwhile.
                now = time.time()
                heads = {key: decode_head(raw) for key in keys if (raw := self._table.load(key)) is not None}
                gone = [key for key, head in heads.items() if is_expired(head, self._settings, now)]
                if await self.write(dict.fromkeys(gone), generation):
                    self._metrics.count_expired(len(gone))
        except Exception:
            logger.critical("expired runs could not be deleted", exc_info=True)
            die()

    def _heads(self) -> Iterator[tuple[RowKey, RunHead]]:
        for key, raw in self._table.rows():
            yield key, decode_head(raw)

    def _load(self, key: RowKey) -> RunRecord | None:
        raw = self._table.load(key)
        return None if raw is None else decode_record(raw)
