"""What every test may ask for: a real broker, and a topic prefix that is its own on it."""

import uuid
from collections.abc import Iterator

import pytest

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, ensure_topics
from streakline.broker import running_broker


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """``host:port`` of a real broker that lives as long as the test session."""
    with running_broker() as bootstrap:
        yield bootstrap


@pytest.fixture
def kafka(broker: str) -> KafkaSettings:
    return KafkaSettings(kafka_bootstrap=broker)


@pytest.fixture
def topics(kafka: KafkaSettings) -> TopicSettings:
    """Topics of this test alone, made."""
    settings = TopicSettings(topic_prefix=f"test-{uuid.uuid4().hex[:8]}.", partitions=4)
    ensure_topics(kafka, settings)
    return settings
