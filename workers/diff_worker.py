"""The diff worker: takes completed runs from Kafka, one at a time, and commits what is done with.

The order is the promise. A diff is in the lake before `DiffCompleted` is on its topic, that is acknowledged before
the offset is committed, and the lease is let go last. Killed anywhere in between, the run comes again, here or to
another worker: what is in the lake already is found there, and told of again with the same `diff_id`.

The main thread never stops polling, so that a long diff does not cost the worker its place in the group.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from producers.codec import MalformedEvent, decode
from producers.events import DiffCompleted, RunCompleted
from producers.kafka import KafkaSettings, group_config
from producers.topics import TopicSettings, diff_group, topic_names
from workers.coordination.board import Board, JobProgress
from workers.coordination.client import RedisAway, connect
from workers.coordination.leases import Lease, Leases
from workers.errors import DiffCancelled, DiffError, TransientDiffError
from workers.jobs import DiffJob, job_of
from workers.metrics import DiffMetrics
from workers.pending import Entry, Pending
from workers.progress import Progress, Stage
from workers.results import Results
from workers.settings import DiffWorkerSettings

logger = logging.getLogger("streakline.diff")

MakeDiff = Callable[[DiffJob, Progress], DiffCompleted]
"""Makes a diff and puts it into the lake; where it is there already, gives the same event without making it again.

Raises `DiffError`, and `DiffCancelled` where the `Progress` does."""

_POLL_SECONDS = 0.2
_READ_AHEAD = 500
_LEASED_ELSEWHERE_SECONDS = 2.0
_MAX_BACKOFF_SECONDS = 600.0


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
        self._settings = settings
        self._make_diff = make_diff
        self._metrics = metrics
        self._names = topic_names(topics)
        self._results = Results(kafka, self._names)
        client = connect(settings.redis_url)
        self._leases = Leases(client, topics.topic_prefix, settings.lease_seconds)
        self._board = Board(client, topics.topic_prefix)
        self._pending = Pending()
        self._paused: set[int] = set()
        self._stopping = threading.Event()
        self._is_alone = False
        self._polled_at = time.monotonic()
        self._is_assigned = False
        self._name = f"{socket.gethostname()}/{os.getpid()}"
        self._consumer = Consumer(
            group_config(kafka, diff_group(topics), session_timeout_seconds=settings.session_timeout_seconds)
        )

    @property
    def silent_seconds(self) -> float:
        """Since the broker's records were last asked for. Long: the loop is stuck, or `run` not called yet."""
        return time.monotonic() - self._polled_at

    @property
    def is_assigned(self) -> bool:
        """Whether the group has said which partitions this worker has; it may have none."""
        return self._is_assigned

    def stop(self) -> None:
        """Hand back what is being done, and end."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`."""
        self._consumer.subscribe(
            [self._names.runs], on_assign=self._on_assigned, on_revoke=self._on_revoked, on_lost=self._on_lost
        )
        running: tuple[Entry, Future[None]] | None = None
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="diff") as thread:
            while not self._stopping.is_set():
                self._read()
                if running is not None and running[1].done():
                    running[1].result()
                    running = None
                self._commit()
                self._metrics.queue.set(self._pending.jobs)
                entry = self._pending.next(time.monotonic()) if running is None else None
                if entry is not None:
                    running = entry, thread.submit(self._do, entry)
            if running is not None:
                running[1].result()
                self._commit()
        self._consumer.close()

    def _read(self) -> None:
        self._polled_at = time.monotonic()
        message = self._consumer.poll(_POLL_SECONDS)
        if message is None:
            return
        if (error := message.error()) is not None:
            logger.warning("cannot read %s: %s", self._names.runs, error.str())
            return
        entry = self._entry_of(message)
        self._pending.add(entry)
        self._hold_back()

    def _entry_of(self, message: Message) -> Entry:
        entry = Entry(
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            published_at=message.timestamp()[1] / 1000,
            key=message.key(),
            value=message.value(),
            job=None,
        )
        try:
            event = decode(entry.value or b"")
        except MalformedEvent as error:
            logger.warning("a record of %s is no event: %s", self._names.runs, error)
            self._results.refused(entry, error.reason, error.detail)
            return entry
        if isinstance(event, RunCompleted):
            entry.job = job_of(event)
        return entry

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

    def _do(self, entry: Entry) -> None:
        """Bring one job to an end, or put it off. In the thread beside the one that polls."""
        job = entry.job
        assert job is not None  # noqa: S101  # `Pending.next` gives no other
        name = f"{job.run_id}/{job.attempt}"
        lease: Lease | None = None
        try:
            lease = self._leases.acquire(name)
            if lease is None:
                self._put_off(entry, _LEASED_ELSEWHERE_SECONDS)
                return
            entry.tries = self._board.begin(name)
            self._is_alone = False
        except RedisAway as error:
            entry.tries += 1
            if not self._is_alone:
                logger.warning("%s: working alone, without leases and progress", error)
            self._is_alone = True
        try:
            self._attempt(entry, job, lease)
        except DiffCancelled:
            logger.info("%s is handed back", name)
            self._board.end(name)
            self._put_off(entry, _LEASED_ELSEWHERE_SECONDS)
        except Exception as error:
            if not isinstance(error, DiffError):
                logger.exception("the diff of %s failed", name)
            self._fail_or_put_off(entry, job, error)
        finally:
            self._board.take_down(job.run_id)
            if entry.is_done:
                self._board.end(name)
            if lease is not None:
                lease.release()

    def _attempt(self, entry: Entry, job: DiffJob, lease: Lease | None) -> None:
        died = DiffError(
            "worker_died",
            f"the diff took its worker down {entry.tries - 1} times: see the workers' logs and their memory",
        )
        # Once more it is only looked for: the last of its workers may have died when it was in the lake already.
        only_look = entry.tries > self._settings.diff_attempts
        if entry.tries > self._settings.diff_attempts + 1:
            raise died
        began = time.monotonic()

        def progress(stage: Stage, done: float, /) -> None:
            if self._stopping.is_set() or (lease is not None and lease.is_lost):
                raise DiffCancelled
            if only_look and stage != "reading":
                raise died
            if stage == "writing":
                _confirm(lease)
            self._board.show(
                JobProgress(
                    run_id=job.run_id,
                    attempt=job.attempt,
                    stage=stage,
                    percent=100 * done,
                    eta_seconds=(time.monotonic() - began) * (1 - done) / done if done > 0 else None,
                    worker=self._name,
                )
            )

        event = self._make_diff(job, progress)
        _confirm(lease)
        self._results.completed(event)
        entry.is_done = True
        self._metrics.succeeded(time.time())
        logger.info("the diff of %s/%d took %.1f s", job.run_id, job.attempt, time.monotonic() - began)

    def _fail_or_put_off(self, entry: Entry, job: DiffJob, error: Exception) -> None:
        known = isinstance(error, DiffError)
        is_final = known and not isinstance(error, TransientDiffError)
        if not is_final and entry.tries < self._settings.diff_attempts:
            self._put_off(entry, self._settings.diff_retry_seconds * 2 ** (entry.tries - 1))
            logger.warning("the diff of %s/%d is tried again later: %s", job.run_id, job.attempt, error)
            return
        reason = error.reason if isinstance(error, DiffError) else "internal"
        sentence = str(error) if known else f"a defect of Streakline ({type(error).__name__}): see the worker's log"
        logger.error("the diff of %s/%d cannot be made: %s", job.run_id, job.attempt, sentence)
        try:
            self._results.failed(entry, job, reason, sentence)
        except TransientDiffError as away:
            logger.warning("nobody could be told of it: %s", away)
            self._put_off(entry, self._settings.diff_retry_seconds)
            return
        entry.is_done = True
        self._metrics.failed()

    def _put_off(self, entry: Entry, seconds: float) -> None:
        entry.not_before = time.monotonic() + min(seconds, _MAX_BACKOFF_SECONDS)


def _confirm(lease: Lease | None) -> None:
    """Raise `DiffCancelled` where another worker may have the job. Without an answer the result is the same anyway."""
    if lease is None:
        return
    try:
        held = lease.confirm()
    except RedisAway:
        return
    if not held:
        raise DiffCancelled
