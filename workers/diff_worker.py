"""The diff worker: takes completed runs from Kafka, one at a time, and commits what is done with.

The order is the promise. A diff is in the lake before `DiffCompleted` is on its topic, that is acknowledged before
the offset is committed, and the lease is let go last. Killed anywhere in between, the run comes again, here or to
another worker: what is in the lake already is found there, and told of again with the same `diff_id`.

The main thread never stops polling, so that a long diff does not cost the worker its place in the group.
"""

import contextlib
import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from confluent_kafka import Consumer, KafkaException, TopicPartition

from producers.codec import MalformedEvent, decode
from producers.dead_letters import requeued_from
from producers.events import RunCompleted
from producers.kafka import KafkaSettings, group_config
from producers.stalls import StallWatch
from producers.topics import TopicSettings, diff_group, topic_names
from producers.unreadable import Unreadable
from workers.errors import TransientDiffError
from workers.job_runner import JobRunner, MakeDiff
from workers.jobs import job_of
from workers.metrics import DiffMetrics
from workers.pending import Entry, Pending
from workers.results import Results
from workers.settings import DiffWorkerSettings

logger = logging.getLogger("streakline.diff")

_POLL_SECONDS = 0.2
_READ_AHEAD = 500


class DiffWorker:
    """One worker; `run` returns when `stop` was called (from any thread, or a signal handler)."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicSettings,
        settings: DiffWorkerSettings,
        make_diff: MakeDiff,
        metrics: DiffMetrics,
    ) -> None:
        self._metrics = metrics
        self._names = topic_names(topics)
        self._results = Results(kafka, self._names)
        self._pending = Pending()
        self._paused: set[int] = set()
        self._stopping = threading.Event()
        self._runner = JobRunner(
            settings,
            prefix=topics.topic_prefix,
            results=self._results,
            make_diff=make_diff,
            metrics=metrics,
            stopping=self._stopping,
        )
        self.stalls = StallWatch("the loop that asks for completed runs", settings.stall_seconds)
        self._is_assigned = False
        self._consumer = Consumer(
            group_config(kafka, diff_group(topics), session_timeout_seconds=settings.session_timeout_seconds)
        )
        self._unreadable = Unreadable(self._consumer)

    @property
    def is_assigned(self) -> bool:
        """Whether the group has said which partitions this worker has; it may have none."""
        return self._is_assigned

    def stop(self) -> None:
        """Hand back what is being done, and end."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`. Raises `FailureLimitReached`."""
        self._consumer.subscribe(
            [self._names.runs], on_assign=self._on_assigned, on_revoke=self._on_revoked, on_lost=self._on_lost
        )
        with (
            contextlib.closing(self._consumer),
            ThreadPoolExecutor(max_workers=1, thread_name_prefix="diff") as thread,
        ):
            # Not beyond the loop: to hand a diff back may take long.
            with self.stalls:
                running = self._work(thread)
            if running is not None:
                running.result()
                self._commit()

    def _work(self, thread: ThreadPoolExecutor) -> Future[None] | None:
        """Returns, once stopped, the diff that is being made."""
        running: Future[None] | None = None
        while not self._stopping.is_set():
            self.stalls.beat()
            self._read()
            if running is not None and running.done():
                running.result()
                running = None
            self._commit()
            self._metrics.queue.set(self._pending.jobs)
            entry = self._pending.next(time.monotonic()) if running is None else None
            if entry is not None:
                running = thread.submit(self._runner.run, entry)
        return running

    def _read(self) -> None:
        message = self._consumer.poll(_POLL_SECONDS)
        if message is None:
            return
        offset, error = message.offset() or 0, message.error()
        if error is not None:
            passed = self._unreadable.pass_over(message)
            if passed is None:
                logger.warning("cannot read %s: %s", self._names.runs, error.str())
                return
            offset = passed
        entry = Entry(
            partition=message.partition() or 0,
            offset=offset,
            published_at=message.timestamp()[1] / 1000,
            key=message.key() if error is None else None,
            # Of an error it would be the sentence.
            value=message.value() if error is None else None,
            job=None,
            requeued_from=requeued_from(message.headers()),
        )
        try:
            if error is not None:
                raise MalformedEvent("not_json", error.str())
            event = decode(entry.value or b"")
        except MalformedEvent as malformed:
            logger.warning("a record of %s is no event: %s", self._names.runs, malformed)
            if not self._is_refused(entry, malformed):
                return
        else:
            entry.job = job_of(event) if isinstance(event, RunCompleted) else None
        self._pending.add(entry)
        self._hold_back()

    def _is_refused(self, entry: Entry, error: MalformedEvent) -> bool:
        """Whether the record is among the dead letters now; False where the worker is stopped first: it comes again."""
        while not self._stopping.is_set():
            self.stalls.beat()
            try:
                self._results.refused(entry, error.reason, error.detail)
            except TransientDiffError as away:
                logger.warning("a record of %s cannot be kept as a dead letter: %s", self._names.runs, away)
            else:
                return True
        return False

    def _hold_back(self) -> None:
        """What is read ahead is bounded, however many runs complete while one diff is made."""
        full = {
            each.partition for each in self._consumer.assignment() if self._pending.size(each.partition) >= _READ_AHEAD
        }
        for partition in full - self._paused:
            self._consumer.pause([TopicPartition(self._names.runs, partition)])
        self._paused |= full

    def _commit(self) -> None:
        offsets = self._pending.committable()
        for partition in {each for each in self._paused if self._pending.size(each) < _READ_AHEAD // 2}:
            self._consumer.resume([TopicPartition(self._names.runs, partition)])
            self._paused.discard(partition)
        if not offsets:
            return
        try:
            self._consumer.commit(
                offsets=[TopicPartition(self._names.runs, *each) for each in offsets.items()], asynchronous=False
            )
        except KafkaException as error:
            # The partition may be another's by now: it will find these diffs in the lake.
            logger.warning("what is done with could not be committed: %s", error.args[0].str())

    def _on_assigned(self, _: Consumer, __: list[TopicPartition]) -> None:
        self._is_assigned = True

    def _on_revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit()
        self._on_lost(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._is_assigned = False
        # librdkafka keeps a partition paused when it comes back.
        consumer.resume([each for each in partitions if each.partition in self._paused])
        # A diff that is being made goes on: it is wanted, whoever commits it.
        self._pending.drop(each.partition for each in partitions)
        self._paused -= {each.partition for each in partitions}
