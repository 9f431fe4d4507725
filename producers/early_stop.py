"""Listens for the signal that asks a run to stop, beside its training loop."""

import threading
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from producers.codec import MalformedEvent, decode_signal
from producers.events import Signal
from producers.kafka import KafkaSettings, reader_config
from producers.partitioner import partition_of
from producers.tally import log

_POLL_SECONDS = 1.0
_BROKER_SECONDS = 5.0
_PAUSE_SECONDS = 2.0
_CLOCKS_DIFFER_SECONDS = 600.0


class EarlyStop:
    """Reads the partition of the signals topic that holds the run's, until one asks this attempt to stop.

    A thread of its own does it: what goes wrong there is tried again, and never reaches the loop.
    """

    def __init__(self, run_id: str, attempt: int, kafka: KafkaSettings, topic: str) -> None:
        self.signal: Signal | None = None
        """the first that asked to stop"""
        self._run_id = run_id
        self._attempt = attempt
        self._since_ms = int((time.time() - _CLOCKS_DIFFER_SECONDS) * 1000)
        self._kafka = kafka
        self._topic = topic
        self._is_closed = threading.Event()
        threading.Thread(target=self._run, name="streakline-early-stop", daemon=True).start()

    def close(self) -> None:
        """Listen no more. Does not wait."""
        self._is_closed.set()

    def _run(self) -> None:
        while self.signal is None and not self._is_closed.wait(0.0):
            try:
                self._listen()
            except Exception as error:
                log.info("run %s: cannot listen for signals yet: %s", self._run_id, error)
                self._is_closed.wait(_PAUSE_SECONDS)

    def _listen(self) -> None:
        consumer = Consumer(reader_config(self._kafka))
        try:
            consumer.assign([self._start(consumer)])
            while self.signal is None and not self._is_closed.is_set():
                message = consumer.poll(_POLL_SECONDS)
                if message is not None and message.error() is None:
                    self._hear(message.value() or b"")
        finally:
            # This may wait for a broker that does not answer; nobody waits for this thread.
            consumer.close()

    def _hear(self, raw: bytes) -> None:
        try:
            signal = decode_signal(raw)
        except MalformedEvent:
            return
        if signal.action == "stop" and (signal.run_id, signal.attempt) == (self._run_id, self._attempt):
            log.info("run %s: asked to stop at step %d: %s", self._run_id, signal.step, signal.message)
            self.signal = signal

    def _start(self, consumer: Consumer) -> TopicPartition:
        """Where this attempt's signals begin: no signal of it is older than its announcement."""
        metadata = consumer.list_topics(self._topic, timeout=_BROKER_SECONDS).topics[self._topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        partition = partition_of(self._run_id.encode(), len(metadata.partitions))
        wanted = TopicPartition(self._topic, partition, self._since_ms)
        (found,) = consumer.offsets_for_times([wanted], timeout=_BROKER_SECONDS)
        if found.offset < 0:
            # Nothing is that young: the end, as a number, so that what comes meanwhile is read too.
            found.offset = consumer.get_watermark_offsets(found, timeout=_BROKER_SECONDS)[1]
        return found
