"""What a topic takes on its broker, and what is in it."""

import json

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from msgspec import Struct

from producers.kafka import KafkaSettings, reader_config

_IDLE_POLLS = 5


class TopicBytes(Struct, frozen=True):
    """One topic, read once from its beginning to its end."""

    records: int
    plain_bytes: int
    """keys and values as they are"""
    received_bytes: int
    """what the broker sent: its batches as it keeps them, compressed, and some 100 bytes for each answer"""
    latest_bytes: int
    """keys and values of each key's last record: what compaction leaves"""
    keys: int


def topic_bytes(kafka: KafkaSettings, topic: str, partitions: int) -> TopicBytes:
    """Read it all."""
    received = 0

    def note(statistics: str) -> None:
        nonlocal received
        received = json.loads(statistics)["rx_bytes"]

    consumer = Consumer(reader_config(kafka) | {"statistics.interval.ms": 100, "stats_cb": note})
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(partitions)])
    ended, idle, records, plain = 0, 0, 0, 0
    latest: dict[bytes, int] = {}
    while ended < partitions or idle < _IDLE_POLLS:
        message = consumer.poll(0.2)
        if message is None:
            idle += 1
            continue
        # What was received is only told ten times a second.
        idle = 0
        if message.error() is not None:
            ended += 1
        else:
            key, value = message.key() or b"", message.value() or b""
            assert isinstance(key, bytes)
            records, plain = records + 1, plain + len(key) + len(value)
            latest[key] = len(key) + len(value)
    consumer.close()
    return TopicBytes(records, plain, received, sum(latest.values()), len(latest))
