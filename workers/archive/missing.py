"""Whether the lake has it all."""

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from producers.kafka import KafkaSettings, reader_config
from producers.topics import TopicSettings, broker_away, topic_names
from workers.archive.generations import Generations
from workers.archive.intake import markers
from workers.lake.ranges import Series, first_missing, ranges_of, topic_folder
from workers.lake.writer import Lake

_POLL_SECONDS = 0.2


def records_missing(kafka: KafkaSettings, topics: TopicSettings, lake: Lake, *, timeout_seconds: float = 10.0) -> int:
    """How many records the archived topics hold now that `lake` does not.

    Those that it lacks are read. Raises `TopicsError` where the broker gives no answer for `timeout_seconds`, and
    `TransientDiffError` where the lake fails.
    """
    tables = markers(topic_names(topics))
    ids = Generations(kafka).of(tables)
    begins = []
    for topic, table in tables.items():
        stored = ranges_of(lake.files(topic_folder(table, topic)), topic)
        for partition in range(topics.partitions):
            series = Series(topic, partition, ids[topic])
            first = first_missing((held for own, held in stored if own == series), 0)
            begins.append(TopicPartition(topic, partition, first))
    consumer = Consumer(reader_config(kafka))
    try:
        consumer.assign(begins)
        return _records_to_the_end(consumer, kafka, begins, timeout_seconds)
    finally:
        consumer.close()


def _records_to_the_end(
    consumer: Consumer, kafka: KafkaSettings, begins: list[TopicPartition], timeout_seconds: float
) -> int:
    unended = {(each.topic, each.partition) for each in begins}
    count, idle_seconds = 0, 0.0
    while unended:
        message = consumer.poll(_POLL_SECONDS)
        if message is None:
            idle_seconds += _POLL_SECONDS
            if idle_seconds >= timeout_seconds:
                raise broker_away(kafka, KafkaException(KafkaError(KafkaError._TIMED_OUT)))  # noqa: SLF001
            continue
        error = message.error()
        if error is None:
            idle_seconds = 0.0
            count += 1
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            idle_seconds = 0.0
            unended.discard((message.topic() or "", message.partition() or 0))
    return count
