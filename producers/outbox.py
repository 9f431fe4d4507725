"""The bounded way from a training loop to the broker: what cannot go is counted and said, never thrown."""

import logging
import time
import traceback
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec import Struct

from producers.codec import MalformedEvent, decode, encode
from producers.events import TrainerEvent
from producers.kafka import KafkaSettings, producer_config

QUEUE_RECORDS = 10_000
QUEUE_KBYTES = 32_768
SECONDS_BETWEEN_COMPLAINTS = 60.0
MAX_REASONS_SAID = 20

_log = logging.getLogger("streakline")


class PublisherStats(Struct, frozen=True):
    """What became of a run's records. A step is one record, a lifecycle event is two: one on each topic."""

    published: int
    """handed to the Kafka client"""
    acknowledged: int
    """of those published, known to be on the topic"""
    failed: int
    """of those published, given up: refused by the broker, or not acknowledged in time when the publisher closed"""
    dropped: int
    """never published: no event (a negative step, a loss that is no number), over 1 MiB, or no room in the queue"""


class Outbox:
    """The bounded queue to the broker: takes a record or counts it as dropped, and neither waits nor raises."""

    def __init__(self, run_id: str, kafka: KafkaSettings) -> None:
        self._run_id = run_id
        self._key = run_id.encode()
        self._broker = kafka.kafka_bootstrap
        self._published = self._acknowledged = self._failed = self._dropped = 0
        self._is_closed = False
        self._quiet_until_seconds = -float("inf")
        self._said: set[str] = set()
        config: dict[str, Any] = producer_config(kafka) | {
            "queue.buffering.max.messages": QUEUE_RECORDS,
            "queue.buffering.max.kbytes": QUEUE_KBYTES,
            # The queue is what bounds an outage; the default would throw records away after five minutes of it.
            "message.timeout.ms": 0,
        }
        try:
            self._producer = Producer(config | {"error_cb": self._disturbed})
        except KafkaException as error:
            raise ValueError(
                f"the Kafka client refuses its settings (STREAKLINE_KAFKA_…): {error.args[0].str()}"
            ) from None

    def stats(self) -> PublisherStats:
        """The counts so far."""
        return PublisherStats(self._published, self._acknowledged, self._failed, self._dropped)

    def put(self, topic: str, event: TrainerEvent) -> bool:
        """Whether the client took `event`."""
        if self._is_closed:
            self.refuse(type(event), ValueError("the publisher is closed"))
            return False
        try:
            raw = encode(event)
            # A reader would refuse what this refuses.
            decode(raw)
        except Exception as error:
            self.refuse(type(event), error)
            return False
        try:
            self._producer.produce(topic, key=self._key, value=raw, on_delivery=self._delivered)
        except Exception as error:
            self._dropped += 1
            self._complain("the queue is full" if isinstance(error, BufferError) else described(error))
            return False
        self._published += 1
        return True

    def refuse(self, kind: type[TrainerEvent], error: Exception) -> None:
        """Count an event that cannot be published, and say each reason once."""
        self._dropped += 1
        text = described(error)
        # The size is another one each time.
        reason = "too_large" if isinstance(error, MalformedEvent) and error.reason == "too_large" else text
        if reason not in self._said and len(self._said) < MAX_REASONS_SAID:
            self._said.add(reason)
            _log.error("run %s: a %s is dropped (said once): %s", self._run_id, kind.__name__, text)

    def poll(self) -> None:
        """Take what the broker has answered."""
        try:
            self._producer.poll(0)
        except Exception as error:
            self._complain(described(error))

    def close(self, timeout_seconds: float) -> bool:
        """Wait for the broker, at most so long. Whether nothing was lost."""
        if not self._is_closed:
            self._is_closed = True
            try:
                self._producer.flush(max(timeout_seconds, 0.0))
                self._failed = self._published - self._acknowledged
                self._producer.purge(blocking=False)
            except Exception as error:
                self._complain(described(error))
            if self._failed or self._dropped:
                _log.error(
                    "run %s: %d of its records are lost: %d without an answer from the broker at %s, %d never sent",
                    self._run_id,
                    self._failed + self._dropped,
                    self._failed,
                    self._broker,
                    self._dropped,
                )
        return not (self._failed or self._dropped)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self._acknowledged += 1
        else:
            self._failed += 1
            self._complain(error.str())

    def _disturbed(self, error: KafkaError) -> None:
        self._complain(error.str())

    def _complain(self, reason: str) -> None:
        now = time.monotonic()
        if now < self._quiet_until_seconds:
            return
        self._quiet_until_seconds = now + SECONDS_BETWEEN_COMPLAINTS
        _log.warning(
            "run %s: %s (broker at %s); training goes on, %d records wait, %d dropped, %d failed",
            self._run_id,
            reason,
            self._broker,
            self._published - self._acknowledged - self._failed,
            self._dropped,
            self._failed,
        )


def described(error: BaseException) -> str:
    """Type and message; of an exception that cannot say its message, that."""
    return "".join(traceback.format_exception_only(error)).strip()
