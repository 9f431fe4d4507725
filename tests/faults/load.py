"""Records that come while the network fails."""

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator

from confluent_kafka import Producer

from producers.kafka import KafkaSettings, producer_config
from producers.topics import TopicSettings, topic_names
from tests.workload import Published, fleet

DELIVERED_WITHIN_SECONDS = 120.0


@contextlib.contextmanager
def load(
    kafka: KafkaSettings, topics: TopicSettings, *, steps: int = 600, a_second: int = 1_000, seed: int = 0
) -> Iterator[None]:
    """A fleet that publishes beside the block; afterwards the broker has all of it, whatever happened."""
    records = list(fleet(14, steps, layers=4, chaos=0.02, seed=seed))
    producer, topic = Producer(producer_config(kafka)), topic_names(topics).steps
    thread = threading.Thread(target=_publish, args=(producer, topic, records, a_second))
    thread.start()
    try:
        yield
    finally:
        thread.join()
        assert producer.flush(DELIVERED_WITHIN_SECONDS) == 0


def _publish(producer: Producer, topic: str, records: Iterable[Published], a_second: int) -> None:
    began = time.monotonic()
    for count, record in enumerate(records):
        time.sleep(max(0.0, began + count / a_second - time.monotonic()))
        producer.produce(topic, record.value, record.key)
        producer.poll(0)
