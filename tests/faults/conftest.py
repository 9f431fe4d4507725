"""Every fault test's broker is behind one that can be told to fail."""

from collections.abc import Iterator

import pytest

from producers.kafka import KafkaSettings
from tests.clusters import foreign_bootstrap, kafka_at, skip_on_a_foreign_cluster
from tests.faulty_broker import FaultyBroker, faulty_broker


@pytest.fixture(scope="package")
def the_front() -> Iterator[FaultyBroker]:
    skip_on_a_foreign_cluster("its broker has to advertise what stands between it and its clients")
    with faulty_broker() as front:
        yield front


@pytest.fixture
def front(the_front: FaultyBroker) -> Iterator[FaultyBroker]:
    """Without a fault at first, and afterwards."""
    yield the_front
    the_front.forward()


@pytest.fixture
def kafka(request: pytest.FixtureRequest) -> KafkaSettings:
    """Behind the front; a foreign cluster as it is, for those tests that do not touch the front."""
    foreign = foreign_bootstrap()
    if foreign is not None:
        return kafka_at(foreign)
    front: FaultyBroker = request.getfixturevalue("front")
    return KafkaSettings(kafka_bootstrap=front.bootstrap)
