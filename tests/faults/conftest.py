"""Every fault test's broker is behind one that can be told to fail."""

from collections.abc import Iterator

import pytest

from producers.kafka import KafkaSettings
from tests.faulty_broker import FaultyBroker, faulty_broker


@pytest.fixture(scope="package")
def the_front() -> Iterator[FaultyBroker]:
    with faulty_broker() as front:
        yield front


@pytest.fixture
def front(the_front: FaultyBroker) -> Iterator[FaultyBroker]:
    """Without a fault at first, and afterwards."""
    yield the_front
    the_front.forward()


@pytest.fixture
def kafka(front: FaultyBroker) -> KafkaSettings:
    return KafkaSettings(kafka_bootstrap=front.bootstrap)
