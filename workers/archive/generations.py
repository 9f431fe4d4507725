"""Which topic it is that has a name now."""

from collections.abc import Iterable

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from producers.kafka import KafkaSettings, client_config
from producers.topics import TopicsError, broker_away

_ANSWERS_WITHIN_SECONDS = 5.0
_MASK = 2**64 - 1


class Generations:
    """Asks the broker for the ids of topics; another id is another topic, made anew under the same name."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._admin = AdminClient(client_config(kafka))

    def of(self, topics: Iterable[str]) -> dict[str, str]:
        """Topic → its id, 32 hexadecimal digits.

        Raises `TopicsError` where a topic is missing, the broker is away, or it is one that has no such ids.
        """
        found = {}
        names = TopicCollection(sorted(set(topics)))
        for topic, future in self._admin.describe_topics(names, request_timeout=_ANSWERS_WITHIN_SECONDS).items():
            try:
                id_ = future.result().topic_id
            except KafkaException as error:
                raise broker_away(self._kafka, error) from None
            high, low = id_.get_most_significant_bits() & _MASK, id_.get_least_significant_bits() & _MASK
            if not (high or low):
                raise TopicsError(
                    f"the broker at {self._kafka.kafka_bootstrap} gives topics no ids, so that one which is made anew "
                    "could not be told from the old one: use Apache Kafka 2.8 or later"
                )
            found[topic] = f"{high:016x}{low:016x}"
        return found
