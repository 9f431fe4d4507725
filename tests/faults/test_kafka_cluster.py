"""On three real Apache Kafka brokers: whichever of them ends, and however, nothing is lost and no signal is another."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from producers.topics import TopicSettings, topic_names
from tests.kafka_cluster import NODES, KafkaCluster, kafka_home, running_cluster
from tests.under_load import judge_under_load
from tests.worker import wait_until

pytestmark = [
    pytest.mark.skipif(
        kafka_home() is None,
        reason="no Apache Kafka: set STREAKLINE_TEST_KAFKA_HOME to an unpacked distribution (3.8 or later; Java 17)",
    ),
    pytest.mark.timeout(1200),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    home = kafka_home()
    assert home is not None
    with running_cluster(home, tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def replicated() -> TopicSettings:
    return TopicSettings(topic_prefix=f"test-{uuid.uuid4().hex[:8]}.", partitions=4, replication=3)


def test_each_broker_is_killed_in_turn(cluster: KafkaCluster, replicated: TopicSettings, tmp_path: Path) -> None:
    def disturb(go_on: Callable[[], None]) -> None:
        for node in NODES:
            cluster.kill(node)
            go_on()
            cluster.start(node)
            cluster.wait_until_whole()

    judge_under_load(cluster.kafka, replicated, tmp_path, disturb)


def test_leaders_change_while_all_brokers_run(cluster: KafkaCluster, replicated: TopicSettings, tmp_path: Path) -> None:
    def disturb(go_on: Callable[[], None]) -> None:
        steps = topic_names(replicated).steps
        preferred = cluster.leaders(steps)
        node = preferred[0]
        cluster.shut_down(node)
        cluster.start(node)
        cluster.wait_until_whole()
        # It is a follower of everything now.
        assert node not in cluster.leaders(steps).values()
        go_on()
        cluster.elect_preferred_leaders()
        wait_until(lambda: cluster.leaders(steps) == preferred)

    judge_under_load(cluster.kafka, replicated, tmp_path, disturb)


def test_a_rolling_restart(cluster: KafkaCluster, replicated: TopicSettings, tmp_path: Path) -> None:
    def disturb(go_on: Callable[[], None]) -> None:
        for node in NODES:
            cluster.shut_down(node)
            cluster.start(node)
            cluster.wait_until_whole()
            go_on()

    judge_under_load(cluster.kafka, replicated, tmp_path, disturb)
