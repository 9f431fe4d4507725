"""What asks the broker what it holds hears it again once it is back."""

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, ensure_topics, topic_names
from stream_app.broker_watch import BrokerWatch
from tests.faulty_broker import faulty_broker
from tests.publishing import publish
from tests.worker import wait_until
from tests.workload import fleet

TOPICS = TopicSettings(partitions=2)


def test_a_broker_that_was_away_and_is_back_answers() -> None:
    """librdkafka's client would no longer find the group's coordinator, for as long as it lives."""
    with faulty_broker() as front:
        kafka = KafkaSettings(kafka_bootstrap=front.bootstrap)
        ensure_topics(kafka, TOPICS)
        watch = BrokerWatch(kafka, topic_names(TOPICS).steps, TOPICS.partitions, "group")

        def answers() -> bool:
            watch.ask()
            return watch.error is None

        assert answers()
        front.refuse()
        assert not any(answers() for _ in range(2))
        front.forward()
        publish(kafka, TOPICS, fleet(runs=4, steps=10, layers=2))
        wait_until(answers)
        assert any(offsets.end for offsets in watch.offsets.values())
