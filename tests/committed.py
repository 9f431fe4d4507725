"""How far the stream workers are, as the broker has it."""

from confluent_kafka import Consumer, TopicPartition

from producers.kafka import KafkaSettings, reader_config
from producers.topics import TopicSettings, stream_app_id, topic_names


def committed(kafka: KafkaSettings, topics: TopicSettings) -> dict[int, int]:
    """Partition of the steps topic → where they would go on."""
    consumer = Consumer(reader_config(kafka) | {"group.id": stream_app_id(topics)})
    try:
        steps = [TopicPartition(topic_names(topics).steps, number) for number in range(topics.partitions)]
        return {each.partition: max(each.offset, 0) for each in consumer.committed(steps, timeout=30)}
    finally:
        consumer.close()
