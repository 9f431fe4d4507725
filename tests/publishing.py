"""Putting records on topics as a trainer's client would, and reading signals back."""

from collections.abc import Iterable

from confluent_kafka import Producer

from producers.codec import decode_signal
from producers.events import Signal
from producers.kafka import MAX_RECORD_BYTES, KafkaSettings, producer_config
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from tests.workload import Published


def publish(kafka: KafkaSettings, topics: TopicSettings, records: Iterable[Published]) -> int:
    """Send `records` to the steps topic in order, wait until the broker has them, and return how many there were."""
    return publish_to(kafka, topic_names(topics).steps, records)


def publish_to(
    kafka: KafkaSettings, topic: str, records: Iterable[Published], *, max_bytes: int = MAX_RECORD_BYTES
) -> int:
    """The same to any topic, as a client that sends records of up to `max_bytes`."""
    producer, count = Producer(producer_config(kafka) | {"message.max.bytes": max_bytes}), 0
    for record in records:
        while True:
            try:
                producer.produce(topic, record.value, key=record.key)
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
    assert producer.flush(30) == 0
    return count


def signals_on(kafka: KafkaSettings, topics: TopicSettings) -> list[Signal]:
    """Every record of the signals topic, duplicates included."""
    return [decode_signal(message.value() or b"") for message in read_topic(kafka, topic_names(topics).signals)]
