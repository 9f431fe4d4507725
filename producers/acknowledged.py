"""Sending records in order, in bounded memory, and knowing which of them the broker has."""

import time
from collections import Counter
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from producers.kafka import MAX_RECORD_BYTES, KafkaSettings, producer_config
from producers.refusals import wrong_settings

# Short, so that Ctrl-C is heard while nothing happens.
_POLL_SECONDS = 0.2

# What may wait in the client for the broker; its default is 1 GiB.
_QUEUE_KBYTES = 65_536

MAX_RAW_BYTES = MAX_RECORD_BYTES - 4096
"""what there is room for beside a record's key and frame"""


class AcknowledgedProducer:
    """Where nothing is acknowledged for `timeout_seconds` all that waits is given up, so that nothing arrives behind a
    record that did not.

    Raises `SettingsError` where the settings cannot be right.
    """

    def __init__(self, kafka: KafkaSettings, timeout_seconds: float) -> None:
        config = producer_config(kafka) | {
            "queue.buffering.max.kbytes": _QUEUE_KBYTES,
            # The client's own time-out is of each record alone: those behind it would arrive.
            "message.timeout.ms": 0,
        }
        try:
            self._producer = Producer(config)
        except KafkaException as error:
            raise wrong_settings(error) from None
        self._timeout_seconds = timeout_seconds
        self._heard_at = time.monotonic()
        self.records = 0
        self.acknowledged: Counter[str] = Counter()
        """records that the broker has, by topic"""
        self.error: str | None = None
        """why the first record that was not acknowledged was not"""
        self.has_timed_out = False

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass, and the broker's answers in."""
        self._poll(0)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.has_timed_out:
            self._poll(min(left, _POLL_SECONDS))

    def send(
        self, topic: str, value: bytes | None, key: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Hand one record to the client, waiting while its queue is full; not where it has timed out."""
        self.records += 1
        while not self.has_timed_out:
            try:
                self._producer.produce(topic, value, key, headers=[*headers], on_delivery=self._answered)
            except BufferError:
                self._poll(_POLL_SECONDS)
            except KafkaException as error:
                self._fail(error.args[0])
                return
            else:
                return

    def finish(self) -> None:
        """Wait for the last answers."""
        while len(self._producer):
            self._poll(_POLL_SECONDS)

    def _poll(self, seconds: float) -> None:
        if not len(self._producer):
            self._heard_at = time.monotonic()
        self._producer.poll(seconds)
        if not self.has_timed_out and time.monotonic() - self._heard_at > self._timeout_seconds:
            self.has_timed_out = True
            self._fail(KafkaError(KafkaError._MSG_TIMED_OUT))  # noqa: SLF001  # librdkafka's own errors have no other name
            self._producer.purge()

    def _answered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._heard_at = time.monotonic()
            self.acknowledged[message.topic() or ""] += 1
        else:
            self._fail(error)

    def _fail(self, error: KafkaError) -> None:
        self.error = self.error or error.str()
