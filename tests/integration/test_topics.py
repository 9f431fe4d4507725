"""Topics on a real broker: made once, with what was asked for."""

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from producers.kafka import KafkaSettings, client_config
from producers.topics import TopicsError, TopicSettings, ensure_topics, partition_counts, topic_names, topic_specs
from tests.clusters import topics_under


def test_topics_are_made_once(kafka: KafkaSettings, topic_prefix: str) -> None:
    settings = topics_under(topic_prefix, partitions=3)
    names = [spec.topic for spec in topic_specs(settings)]
    assert ensure_topics(kafka, settings) == names
    assert ensure_topics(kafka, settings) == []
    counts = partition_counts(kafka)
    assert {counts[name] for name in names} == {3}


def test_a_topic_has_the_settings_it_was_made_with(kafka: KafkaSettings, topics: TopicSettings) -> None:
    name = topic_names(topics).state_changelog
    resource = ConfigResource(ResourceType.TOPIC, name)
    admin = AdminClient(client_config(kafka))
    (future,) = admin.describe_configs([resource]).values()
    entries = {entry.name: entry.value for entry in future.result().values()}
    assert entries["cleanup.policy"] == "compact"
    assert entries["max.message.bytes"] == str(32 << 20)
    assert entries["segment.bytes"] == str(32 << 20)


def test_another_number_of_partitions_is_refused(kafka: KafkaSettings, topics: TopicSettings) -> None:
    other = TopicSettings(topic_prefix=topics.topic_prefix, partitions=topics.partitions + 1)
    with pytest.raises(TopicsError, match="has 4 partitions and the settings say 5"):
        ensure_topics(kafka, other)


def test_a_broker_that_is_away_is_one_sentence() -> None:
    with pytest.raises(TopicsError) as caught:
        ensure_topics(KafkaSettings(kafka_bootstrap="127.0.0.1:1"), TopicSettings(), timeout_seconds=1)
    assert str(caught.value).startswith("no answer from the broker at 127.0.0.1:1 (")
    assert "start one with `streakline up`" in str(caught.value)
