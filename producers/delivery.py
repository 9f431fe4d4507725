"""From a backlog to the broker: in order, at most a window of records at a time, again after every failure."""

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec import Struct

from producers.kafka import KafkaSettings, producer_config
from producers.process import outlive
from producers.refusals import refusal, wrong_settings
from producers.spool.backlog import Backlog, Kept
from producers.spool.folder import Owner
from producers.spool.record import Topic

WINDOW_RECORDS = 1_000
WINDOW_BYTES = 4 << 20
"""what may be on its way to the broker at once; all else stays where it is kept"""

_FIRST_BACKOFF_SECONDS = 1.0
_LAST_BACKOFF_SECONDS = 30.0

_MS_BETWEEN_LOOKS = 2_000
_MAX_EPOCHS = 5
"""that a client may begin between two looks; a well one stays in its first"""

# What librdkafka says of its own end reaches standard error whatever its log level, unless somebody takes it.
_DEAF = logging.getLogger("streakline.librdkafka")
_DEAF.setLevel(logging.CRITICAL + 1)

# librdkafka's own errors have no other name.
_PURGED = frozenset((KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT))  # noqa: SLF001
# What is wrong with one record, and would be the next time.
_OF_THE_RECORD = frozenset((KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD))

OnDelivery = Callable[[KafkaError | None, Message], None]


class _Identity(Struct):
    producer_epoch: int = 0
    """how often the client has called itself by another name, since the broker gave it one"""


class _Statistics(Struct):
    """What librdkafka tells of an idempotent producer, as far as it is looked at."""

    eos: _Identity = msgspec.field(default_factory=_Identity)


_statistics = msgspec.json.Decoder(_Statistics)


class Link:
    """A Kafka producer that is made anew some time after it failed.

    It never gives a record up by itself: one that is on its way when the broker goes away arrives when the broker is
    back. A failure is a refusal (no such topic, no permission) or the client's own end; everything that was on its
    way is to be sent again then. `complain` is told of it. Raises ValueError where the settings cannot be right.
    """

    def __init__(self, kafka: KafkaSettings, complain: Callable[[str], None]) -> None:
        self._config = producer_config(kafka) | {
            "message.timeout.ms": 0,
            "reconnect.backoff.max.ms": 3_000,
            "statistics.interval.ms": _MS_BETWEEN_LOOKS,
            # A producer's default is to have the broker make topics that are missing, with that broker's defaults.
            "allow.auto.create.topics": False,
            # It is half a minute else, in which nothing is said of a topic that is missing.
            "topic.metadata.propagation.max.ms": 5_000,
        }
        self._complain = complain
        self._backoff_seconds = _FIRST_BACKOFF_SECONDS
        self._again_at_seconds: float | None = None
        self._epoch = 0
        self._has_heard = False
        self.generation = 0
        """of the client: what went to an older one is not on its way any more"""
        try:
            self._producer = self._made()
        except KafkaException as error:
            raise wrong_settings(error) from None

    @property
    def is_up(self) -> bool:
        """Whether it takes records; not for a while after a failure."""
        return self._again_at_seconds is None

    def produce(
        self, topic: str, key: bytes, raw: bytes, on_delivery: Callable[[KafkaError | None, Message], None]
    ) -> bool:
        """Whether the client took the record; `on_delivery` is called in a later `poll` then."""
        try:
            self._producer.produce(topic, key=key, value=raw, on_delivery=on_delivery)
        except KafkaException as error:
            self.fail(error.args[0].str())
        except BufferError as error:
            self.fail(str(error))
        return self.is_up

    def poll(self, timeout_seconds: float = 0.0) -> None:
        """Take the broker's answers; some time after a failure, begin again."""
        self._producer.poll(timeout_seconds)
        if self._again_at_seconds is not None and time.monotonic() >= self._again_at_seconds:
            self._producer = self._made()
            self._again_at_seconds = None
            self.generation += 1

    def fail(self, reason: str) -> None:
        """Begin again with another client, later each time that nothing has arrived meanwhile."""
        if self.is_up:
            self._complain(reason)
            self._again_at_seconds = time.monotonic() + self._backoff_seconds
            self._backoff_seconds = min(2 * self._backoff_seconds, _LAST_BACKOFF_SECONDS)
            self._producer.purge(blocking=False)

    def succeed(self) -> None:
        """A record has arrived."""
        self._backoff_seconds = _FIRST_BACKOFF_SECONDS

    def close(self) -> None:
        """Let go of the client, with what it holds. This waits for its threads, and they may wait for a broker."""
        self._producer.purge(blocking=False)
        # Not left to the garbage collector, which would do the waiting in the training loop.
        del self._producer

    def forsake(self) -> None:
        """In a forked child, where the client's threads are not: touch it never again."""
        if hasattr(self, "_producer"):
            outlive(self._producer)

    def _made(self) -> Producer:
        self._epoch, self._has_heard = 0, False
        config: dict[str, Any] = {
            **self._config,
            "error_cb": self._hear,
            "stats_cb": self._look,
            "logger": _DEAF,
        }
        return Producer(config)

    def _hear(self, error: KafkaError) -> None:
        refused = refusal(error, is_first=not self._has_heard)
        self._has_heard = True
        self._complain(error.str() if refused is None else f"the broker lets nobody in with these settings: {refused}")

    def _look(self, statistics: str) -> None:
        """Begin again where the broker has forgotten the client, as one does that came back empty.

        librdkafka goes on under the name it was once given then, in one epoch after the other, and without end.
        """
        epoch = _statistics.decode(statistics).eos.producer_epoch
        if epoch - self._epoch > _MAX_EPOCHS:
            self.fail("the broker does not know this client any more")
        self._epoch = epoch


class _Sent(Struct):
    """A record on its way."""

    kept: Kept
    due: tuple[str, ...]
    """the topics that it has not arrived on"""
    refusals: int = 0


class Delivery:
    """Brings the records of `backlog` to the topics of their `owner`, over `link`.

    A lifecycle event is two records, one a topic. `on_answer` is told how many records have arrived, and how many the
    broker will never take.
    """

    def __init__(self, link: Link, backlog: Backlog, owner: Owner, on_answer: Callable[[int, int], None]) -> None:
        self._link = link
        self._backlog = backlog
        self._key = owner.run_id.encode()
        self._topics = {Topic.STEPS: (owner.steps,), Topic.RUNS: (owner.runs,), Topic.BOTH: (owner.steps, owner.runs)}
        self._on_answer = on_answer
        self._sent: deque[_Sent] = deque()
        self._sent_bytes = 0
        self._generation = link.generation
        self._again: deque[_Sent] = deque()
        """what went to a client that is gone, and is to be sent before anything else"""

    @property
    def is_waiting(self) -> bool:
        """Whether the broker owes answers."""
        return bool(self._sent)

    @property
    def is_done(self) -> bool:
        """Whether everything in the backlog has arrived."""
        return not self._sent and self._backlog.is_drained

    def pump(self) -> None:
        """Send what there is, as far as the window allows."""
        if self._generation != self._link.generation:
            self._generation = self._link.generation
            self._again = deque(self._sent)
        while self._again and self._send(self._again[0]):
            self._again.popleft()
        while self._link.is_up and len(self._sent) < WINDOW_RECORDS and self._sent_bytes < WINDOW_BYTES:
            kept = self._backlog.read()
            if kept is None:
                break
            sent = _Sent(kept, self._topics[kept.record.topics])
            self._sent.append(sent)
            self._sent_bytes += len(kept.record.raw)
            self._send(sent)

    def _send(self, sent: _Sent) -> bool:
        """Whether the client took it for every topic that it is due on."""
        return self._link.is_up and all(
            self._link.produce(topic, self._key, sent.kept.record.raw, partial(self._answered, sent, topic))
            for topic in sent.due
        )

    def _answered(self, sent: _Sent, topic: str, error: KafkaError | None, _message: Message) -> None:
        if error is not None and error.code() not in _OF_THE_RECORD:
            if error.code() not in _PURGED:
                self._link.fail(error.str())
            return
        sent.due = tuple(each for each in sent.due if each != topic)
        sent.refusals += error is not None
        while self._sent and not self._sent[0].due:
            self._arrived(self._sent.popleft())

    def _arrived(self, sent: _Sent) -> None:
        self._link.succeed()
        self._sent_bytes -= len(sent.kept.record.raw)
        self._backlog.acknowledge(sent.kept)
        self._on_answer(len(self._topics[sent.kept.record.topics]) - sent.refusals, sent.refusals)
