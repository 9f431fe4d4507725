"""The archiver: reads steps, signals and the life of runs from Kafka, and writes them as files of the lake.

Why every record is there exactly once is told in `workers.archive`.
"""

import logging
import threading
import time
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from producers.kafka import KafkaSettings, group_config
from producers.stalls import StallWatch
from producers.topics import TopicsError, TopicSettings, archive_group, broker_away, topic_names
from producers.unreadable import Unreadable, once
from workers.archive.generations import Generations
from workers.archive.held import Held
from workers.archive.intake import Intake, markers
from workers.archive.metrics import ArchiveMetrics
from workers.errors import TransientDiffError
from workers.lake.ranges import Series, first_missing, ranges_of, topic_folder
from workers.lake.writer import Lake
from workers.settings import ArchiveSettings

logger = logging.getLogger("streakline.archive")

_POLL_SECONDS = 0.2
_BATCH_RECORDS = 500
_FETCH_AHEAD_KBYTES = 16_384
_ANSWERS_WITHIN_SECONDS = 5.0
_SILENT_SECONDS = 30.0
"""without a record and without an end, before a broker is taken for being away"""
_IDS_EVERY_SECONDS = 10.0
"""a topic that was made anew is noticed so soon, also where nothing of it is read"""
_MAX_BACKOFF_SECONDS = 60.0
_MAX_DOUBLINGS = 16

Key = tuple[str, int]
"""topic and partition"""


class Archiver:
    """One archiver; `run` and `run_once` return when `stop` was called (from any thread, or a signal handler)."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicSettings,
        settings: ArchiveSettings,
        lake: Lake,
        metrics: ArchiveMetrics,
    ) -> None:
        names = topic_names(topics)
        self._kafka = kafka
        self._partition_count = topics.partitions
        self._settings = settings
        self._lake = lake
        self._metrics = metrics
        self._markers = markers(names)
        self._intake = Intake(names, metrics)
        self._generations = Generations(kafka)
        self._ids_due = 0.0
        self._unplaced: set[Key] = set()
        """partitions of which the lake is still to be asked where to begin; paused"""
        self._held: dict[Key, Held] = {}
        self._failures = 0
        self._told: type[Exception] | None = None
        self._not_before = 0.0
        self._stopping = threading.Event()
        self.stalls = StallWatch("the archiver's loop", settings.stall_seconds)
        self._is_assigned = False
        config = group_config(kafka, archive_group(topics), session_timeout_seconds=settings.session_timeout_seconds)
        ahead = {"queued.max.messages.kbytes": _FETCH_AHEAD_KBYTES, "enable.partition.eof": True}
        self._consumer = Consumer(config | ahead)
        self._unreadable = Unreadable(self._consumer)
        self._unended: set[Key] = set()
        """partitions whose present end has not been seen yet"""

    @property
    def is_assigned(self) -> bool:
        """Whether the group has said which partitions this archiver has; it may have none."""
        return self._is_assigned

    @property
    def is_waiting(self) -> bool:
        """For the lake or the broker, which failed; nothing is read meanwhile."""
        return self._failures > 0

    def stop(self) -> None:
        """Write what is held, and end."""
        self._stopping.set()

    def run(self) -> None:
        """Archive until `stop`."""
        self._consumer.subscribe(
            list(self._markers), on_assign=self._on_assigned, on_revoke=self._on_gone, on_lost=self._on_gone
        )
        with self.stalls:
            while not self._stopping.is_set():
                self.stalls.beat()
                # Also while the lake is away, so as to keep the place in the group.
                for message in once(self._consumer.consume(_BATCH_RECORDS, _POLL_SECONDS)):
                    self._take(message)
                self._work(time.monotonic())
                self._tell()
            try:
                self._write(self._held.values())
            except Exception as error:
                logger.warning("what is held is read again by the next archiver: %s", _sentence(error))
        self._consumer.close()

    def run_once(self) -> None:
        """Archive all that the topics hold now, and return. It joins no group, and may run beside other archivers.

        Raises `TopicsError` where the broker fails, `TransientDiffError` where the lake does.
        """
        keys = [(topic, partition) for topic in self._markers for partition in range(self._partition_count)]
        self._unended = set(keys)
        self._on_assigned(self._consumer, _partitions(keys))
        try:
            with self.stalls:
                self._to_the_end()
                self._write(self._held.values())
        except KafkaException as error:
            raise broker_away(self._kafka, error) from None
        finally:
            self._consumer.close()

    def _to_the_end(self) -> None:
        heard_at = time.monotonic()
        while self._unended and not self._stopping.is_set():
            self._place()
            messages = self._consumer.consume(_BATCH_RECORDS, _POLL_SECONDS)
            self.stalls.beat()
            now = time.monotonic()
            heard_at = now if messages else heard_at
            if now - heard_at > _SILENT_SECONDS:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001  # it has no other name
            for message in once(messages):
                self._take(message)
            self._write(self._due(now))
            self._tell()

    def _tell(self) -> None:
        self._metrics.held_bytes.set(sum(held.size_bytes for held in self._held.values()))
        for topic in self._markers:
            lag = 0
            for held in self._held.values():
                if held.series.topic == topic:
                    # What the last fetch said: to be asked for it, some brokers do not know it.
                    ends = self._consumer.get_watermark_offsets(
                        TopicPartition(topic, held.series.partition), cached=True
                    )
                    lag += max(0, (-1 if ends is None else ends[1]) - held.first)
            self._metrics.lag.labels(topic).set(lag)

    def _take(self, message: Message) -> None:
        topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
        if (error := message.error()) is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                self._unended.discard((topic, partition))
            elif (passed := self._unreadable.pass_over(message)) is not None:
                self._skip(topic, partition, passed)
            else:
                logger.warning("cannot read %s: %s", topic, error.str())
            return
        held = self._held.get((topic, partition))
        if held is None:
            return
        if offset < held.next:
            logger.warning("%s/%d begins at offset %d again: the lake is asked anew", topic, partition, offset)
            self._displace([(topic, partition)])
            return
        record = self._intake.record_in(topic, message)
        held.add(offset, record, size_bytes=len(message.value() or b""), now=time.monotonic())

    def _skip(self, topic: str, partition: int, offset: int) -> None:
        self._metrics.skipped.labels(topic).inc()
        held = self._held.get((topic, partition))
        if held is not None and offset >= held.next:
            held.add(offset, None, size_bytes=0, now=time.monotonic())

    def _work(self, now: float) -> None:
        """Place, check and write what is to be; where that fails, say so once, read no further and try it later."""
        if now < self._not_before:
            return
        try:
            if now >= self._ids_due:
                self._check_ids(self._held.values())
                self._ids_due = now + _IDS_EVERY_SECONDS
            self._place()
            self._write(self._due(now))
            if self._failures:
                self._flow(self._held)
                logger.info("archiving goes on")
        except Exception as error:
            if type(error) is not self._told:
                expected = isinstance(error, TransientDiffError | TopicsError | KafkaException)
                logger.warning("the archive waits: %s", _sentence(error), exc_info=not expected)
            self._told = type(error)
            self._consumer.pause(_partitions(self._held))
            seconds = self._settings.archive_retry_seconds * 2 ** min(self._failures, _MAX_DOUBLINGS)
            self._not_before = time.monotonic() + min(seconds, _MAX_BACKOFF_SECONDS)
            self._failures += 1
        else:
            self._failures, self._told = 0, None
        self._metrics.waiting.set(self.is_waiting)

    def _check_ids(self, held: Iterable[Held]) -> None:
        """Give up what is held of topics that were made anew: it may be of either."""
        series = [each.series for each in held]
        if not series:
            return
        ids = self._generations.of(each.topic for each in series)
        stale = [(each.topic, each.partition) for each in series if ids[each.topic] != each.generation]
        if stale:
            names = ", ".join(sorted({topic for topic, _ in stale}))
            logger.warning("%s was made anew: what was last read of the old one is not in the lake", names)
            self._displace(stale)

    def _place(self) -> None:
        """Begin each new partition where the lake ends."""
        if not self._unplaced:
            return
        # Before anything is read: it is the same topic if it still has this id when a file is written.
        ids = self._generations.of(topic for topic, _ in self._unplaced)
        for topic, generation in ids.items():
            stored = ranges_of(self._lake.files(topic_folder(self._markers[topic], topic)), topic)
            for partition in sorted(partition for name, partition in self._unplaced if name == topic):
                self.stalls.beat()
                series = Series(topic, partition, generation)
                where = TopicPartition(topic, partition)
                watermarks = self._consumer.get_watermark_offsets(where, timeout=_ANSWERS_WITHIN_SECONDS)
                if watermarks is None:
                    raise TopicsError(f"the broker does not say where {topic}/{partition} begins")
                first = first_missing((held for own, held in stored if own == series), max(0, watermarks[0]))
                held = {(topic, partition): Held(series, first, self._markers[topic])}
                self._flow(held)
                self._held |= held
                self._unplaced.discard((topic, partition))
                if first > watermarks[0]:
                    self._commit(TopicPartition(topic, partition, first))

    def _flow(self, held: dict[Key, Held]) -> None:
        """Read on behind what is held."""
        for (topic, partition), each in held.items():
            self._consumer.seek(TopicPartition(topic, partition, each.next))
        self._consumer.resume(_partitions(held))

    def _due(self, now: float) -> list[Held]:
        held = [each for each in self._held.values() if each.range is not None]
        due = [each for each in held if each.age_seconds(now) >= self._settings.archive_seconds]
        rest = sorted((each for each in held if each not in due), key=lambda each: each.size_bytes)
        while sum(each.size_bytes for each in rest) > self._settings.archive_bytes:
            due.append(rest.pop())
        return due

    def _write(self, due: Iterable[Held]) -> None:
        """Files first, then the offsets."""
        due = list(due)
        self._check_ids(due)
        for held in due:
            key = (held.series.topic, held.series.partition)
            if self._held.get(key) is not held or held.range is None:
                continue
            for path, data in held.files():
                self.stalls.beat()
                self._lake.write_bytes(path, data)
                self._metrics.bytes.inc(len(data))
            self._metrics.records.labels(held.series.topic).inc(held.records)
            held.clear()
            self._commit(TopicPartition(*key, held.next))

    def _commit(self, offset: TopicPartition) -> None:
        try:
            self._consumer.commit(offsets=[offset], asynchronous=False)
        except KafkaException as error:
            # The partition may be another's by now; where to go on is in the lake.
            logger.warning("an offset of %s could not be committed: %s", offset.topic, error.args[0].str())

    def _displace(self, keys: list[Key]) -> None:
        self._consumer.pause(_partitions(keys))
        for key in keys:
            del self._held[key]
        self._unplaced |= set(keys)

    def _on_assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._is_assigned = True
        # Nothing is read before the lake has been asked, and what is committed is not what counts.
        consumer.assign([TopicPartition(each.topic, each.partition, 0) for each in partitions])
        consumer.pause(partitions)
        self._unplaced |= {(each.topic, each.partition) for each in partitions}

    def _on_gone(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._is_assigned = False
        # librdkafka keeps a partition paused when it comes back.
        consumer.resume(partitions)
        for each in partitions:
            self._held.pop((each.topic, each.partition), None)
            self._unplaced.discard((each.topic, each.partition))


def _partitions(keys: Iterable[Key]) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for topic, partition in keys]


def _sentence(error: Exception) -> str:
    return str(error.args[0].str()) if isinstance(error, KafkaException) else str(error)
