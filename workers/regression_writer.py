"""Writes the table `regressions` from the signals topic: each diff's regressed categories in one file of its own.

The order is the promise. A regression is in the lake before the offset of its signal is committed; killed in between,
the signal comes again and is found there. A run's signals are on one partition, so that a diff's file has one writer;
one that stood still and goes on after its partition is another's is kept apart from it by `Lake.turn`. The file is
written anew where a batch ends between two of its signals; a query that reads it just then ends with an error.
"""

import logging
import threading
import time

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from msgspec.structs import replace

from producers.codec import MalformedEvent
from producers.kafka import KafkaSettings, group_config
from producers.stalls import StallWatch
from producers.topics import TopicSettings, regressions_group, topic_names
from producers.unreadable import Unreadable
from workers.errors import TransientDiffError
from workers.lake.schemas import table_to_rows
from workers.lake.tables import Common, RegressionRow
from workers.lake.writer import Lake
from workers.regression_rows import Regression, by_diff, merged, regression_in
from workers.settings import DiffWorkerSettings

logger = logging.getLogger("streakline.regressions")

TABLE = "regressions"

_POLL_SECONDS = 0.2
_BATCH_RECORDS = 1000
_BATCH_REGRESSIONS = 100
"""written between two polls: also where each takes seconds, the worker keeps its place in the group"""
_BATCH_SECONDS = 1.0
_MAX_BACKOFF_SECONDS = 60.0
_MAX_DOUBLINGS = 16
_MAX_DETAIL_CHARACTERS = 300


class RegressionWriter:
    """One writer; `run` returns when `stop` was called (from any thread, or a signal handler)."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, settings: DiffWorkerSettings, lake: Lake) -> None:
        self._lake = lake
        self._topic = topic_names(topics).signals
        self._retry_seconds = settings.diff_retry_seconds
        self._stopping = threading.Event()
        self.stalls = StallWatch("the loop that writes regressions", settings.stall_seconds)
        self._held: list[tuple[int, Regression]] = []
        """with its partition"""
        self._read: dict[int, int] = {}
        """partition → offset to go on from once all that is held is written"""
        self._durable: dict[int, int] = {}
        """the same, and it is"""
        self._records = 0
        self._began = 0.0
        self._failures = 0
        self._told: type[Exception] | None = None
        self._not_before = 0.0
        self._paused: set[int] = set()
        self._consumer = Consumer(
            group_config(kafka, regressions_group(topics), session_timeout_seconds=settings.session_timeout_seconds)
        )
        self._unreadable = Unreadable(self._consumer)

    def stop(self) -> None:
        """End; what is not written yet comes again."""
        self._stopping.set()

    def run(self) -> None:
        """Write until `stop`."""
        self._consumer.subscribe([self._topic], on_revoke=self._on_revoked, on_lost=self._on_lost)
        with self.stalls:
            while not self._stopping.is_set():
                self.stalls.beat()
                # Also while the lake is away, so as to keep the place in the group.
                message = self._consumer.poll(_POLL_SECONDS)
                if message is not None:
                    self._take(message)
                if self._is_due(idle=message is None):
                    self._flush()
                if self._is_waiting:
                    self._hold_back()
                else:
                    self._go_on()
        self._consumer.close()

    @property
    def _is_waiting(self) -> bool:
        """For the lake, with something to write."""
        return bool(self._failures and self._held)

    def _take(self, message: Message) -> None:
        if (error := message.error()) is not None:
            if self._unreadable.pass_over(message) is None:
                logger.warning("cannot read %s: %s", self._topic, error.str())
            return
        partition, offset = message.partition() or 0, message.offset() or 0
        if not self._read:
            self._began, self._records = time.monotonic(), 0
        self._read[partition] = offset + 1
        self._records += 1
        try:
            regression = regression_in(message.value() or b"")
        except MalformedEvent as refused:
            detail = str(refused)[:_MAX_DETAIL_CHARACTERS]
            logger.warning("record %d of %s/%d tells of no regression: %s", offset, self._topic, partition, detail)
            return
        if regression is not None:
            self._held.append((partition, regression))

    def _is_due(self, *, idle: bool) -> bool:
        now = time.monotonic()
        if self._is_waiting:
            return now >= self._not_before
        is_full = self._records >= _BATCH_RECORDS or len(self._held) >= _BATCH_REGRESSIONS
        return bool(self._read) and (idle or is_full or now - self._began >= _BATCH_SECONDS)

    def _flush(self) -> None:
        for common, rows in by_diff(regression for _, regression in self._held):
            if self._stopping.is_set() or not self._is_written(common, rows):
                return
        if self._is_waiting:
            logger.info("regressions are written again")
            self._failures, self._told = 0, None
        self._durable |= self._read
        self._read.clear()
        self._held.clear()
        self._commit()

    def _is_written(self, common: Common, rows: list[RegressionRow]) -> bool:
        """Try to write them; where that fails, say so once and put all that is held off."""
        self.stalls.beat()
        try:
            self._write(common, rows)
        except Exception as error:
            if type(error) is not self._told:
                name = f"{common.run_id}, diff {common.diff_id}"
                logger.warning(
                    "the regressions of %s wait: %s", name, error, exc_info=not isinstance(error, TransientDiffError)
                )
            self._told = type(error)
            seconds = self._retry_seconds * 2 ** min(self._failures, _MAX_DOUBLINGS)
            self._not_before = time.monotonic() + min(seconds, _MAX_BACKOFF_SECONDS)
            self._failures += 1
            return False
        return True

    def _write(self, common: Common, rows: list[RegressionRow]) -> None:
        """The file of one diff, with what it holds already: no signal is lost, or there twice."""
        diff = {"project": common.project, "day": common.dt, "run_id": common.run_id, "diff_id": common.diff_id}
        # One that lost the partition while it stood still in here must not write over what the next one has.
        with self._lake.turn(TABLE, common):
            table = self._lake.read(TABLE, **diff)
            stored = [] if table is None else table_to_rows(table, RegressionRow)
            whole = merged(stored, rows)
            if len(whole) == len(stored):
                return
            # In the lake before anything is told of the diff; only people can have taken it out.
            run = self._lake.read("runs", **diff)
            config_hash = "" if run is None else str(run["config_hash"][0].as_py())
            self._lake.write(TABLE, whole, replace(common, config_hash=config_hash))

    def _hold_back(self) -> None:
        """Read no further; partitions that come meanwhile neither."""
        flowing = {each.partition for each in self._consumer.assignment()} - self._paused
        if flowing:
            self._consumer.pause([TopicPartition(self._topic, partition) for partition in flowing])
        self._paused |= flowing

    def _go_on(self) -> None:
        if self._paused:
            self._consumer.resume([TopicPartition(self._topic, partition) for partition in self._paused])
        self._paused.clear()

    def _commit(self) -> None:
        if not self._durable:
            return
        try:
            self._consumer.commit(
                offsets=[TopicPartition(self._topic, *each) for each in self._durable.items()], asynchronous=False
            )
        except KafkaException as error:
            # Tried again with the next; where the partition is another's by now, its signals are found in the lake.
            logger.warning("what is written could not be committed: %s", error.args[0].str())
            return
        self._durable.clear()

    def _on_revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit()
        self._on_lost(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = {each.partition for each in partitions}
        # librdkafka keeps a partition paused when it comes back.
        consumer.resume([each for each in partitions if each.partition in self._paused])
        self._held = [(partition, regression) for partition, regression in self._held if partition not in gone]
        for partition in gone:
            self._read.pop(partition, None)
            self._durable.pop(partition, None)
        self._paused -= gone
