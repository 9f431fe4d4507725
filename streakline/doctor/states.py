"""Whether this release reads the states that stream workers recover from, told from the latest of each changelog."""

import time
from collections.abc import Iterator, Sequence

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from producers.kafka import KafkaSettings, reader_config
from producers.topics import Topics
from streakline.doctor.findings import Finding, of_error, ok, warning
from stream_app.histories import decode_history
from stream_app.records import decode_record
from stream_app.versions import UnreadableRecord

_SUBJECT = "states"
_LATEST = 20
"""rows of a partition that are looked at: a release that has just been rolled back wrote the last"""
_TIMEOUT_SECONDS = 10.0
_POLL_SECONDS = 0.1


def look_at_states(kafka: KafkaSettings, names: Topics, topic: str, partitions: Sequence[int]) -> Finding:
    """The latest rows of `topic`, a changelog. Raises `confluent_kafka.KafkaException`."""
    decode = decode_record if topic == names.state_changelog else decode_history
    consumer = Consumer(reader_config(kafka))
    unfinished = set(partitions)
    rows = 0
    try:
        consumer.assign([_latest(consumer, topic, partition) for partition in partitions])
        for message in _polled(consumer, unfinished):
            if (value := message.value()) is not None:
                decode(value)
                rows += 1
    except UnreadableRecord as error:
        return of_error(_SUBJECT, error)
    finally:
        consumer.close()
    if unfinished:
        return warning(_SUBJECT, f"{topic} could not be read to its end", "run this again, and see to the broker")
    return ok(_SUBJECT, f"this release reads the latest of {topic} ({rows} looked at)")


def _latest(consumer: Consumer, topic: str, partition: int) -> TopicPartition:
    begin, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_SECONDS)
    return TopicPartition(topic, partition, max(begin, end - _LATEST))


def _polled(consumer: Consumer, unfinished: set[int]) -> Iterator[Message]:
    """Records up to the end of each partition in `unfinished`, which are taken out of it; no longer than the limit."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while unfinished and time.monotonic() < deadline:
        message = consumer.poll(_POLL_SECONDS)
        if message is None:
            continue
        error = message.error()
        if error is None:
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # librdkafka's own errors have no other name
            unfinished.discard(message.partition() or 0)
