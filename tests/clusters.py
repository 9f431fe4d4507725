"""Which cluster the tests run on: a local broker of their own, or the one that STREAKLINE_TEST_BOOTSTRAP names.

How a cluster lets one in, and how often it keeps a record, are the settings that every command takes:
STREAKLINE_KAFKA_… and STREAKLINE_REPLICATION.
"""

import os
import time

import pytest
from confluent_kafka.admin import AdminClient

from producers.kafka import KafkaSettings, client_config
from producers.settings import PREFIX, load_settings
from producers.topics import TopicSettings, partition_counts

_VARIABLE = "STREAKLINE_TEST_BOOTSTRAP"
_GONE_WITHIN_SECONDS = 30.0


def foreign_bootstrap() -> str | None:
    """``host:port`` of a cluster that was there before the tests, where they are to run on one."""
    return os.environ.get(_VARIABLE) or None


def kafka_at(bootstrap: str) -> KafkaSettings:
    """For the broker that the fixture `broker` gives."""
    if foreign_bootstrap() is None:
        return KafkaSettings(kafka_bootstrap=bootstrap)
    return load_settings(KafkaSettings, {**os.environ, f"{PREFIX}KAFKA_BOOTSTRAP": bootstrap})


def topics_under(prefix: str, *, partitions: int = 4) -> TopicSettings:
    """Topics of a test, as often on the cluster as that keeps records."""
    if foreign_bootstrap() is None:
        return TopicSettings(topic_prefix=prefix, partitions=partitions)
    own = {f"{PREFIX}TOPIC_PREFIX": prefix, f"{PREFIX}PARTITIONS": str(partitions)}
    return load_settings(TopicSettings, {**os.environ, **own})


def forget_topics(kafka: KafkaSettings, prefix: str) -> None:
    """Leave nothing under `prefix` on a cluster that outlives the tests."""
    if foreign_bootstrap() is None:
        return
    names = [name for name in partition_counts(kafka) if name.startswith(prefix)]
    # A client that nobody holds takes its answers with it.
    admin = AdminClient(client_config(kafka))
    if names:
        for deleted in admin.delete_topics(names).values():
            deleted.result(_GONE_WITHIN_SECONDS)
    deadline = time.monotonic() + _GONE_WITHIN_SECONDS
    while any(name.startswith(prefix) for name in partition_counts(kafka)):
        assert time.monotonic() < deadline, f"topics under {prefix} are still there"
        time.sleep(0.2)


def skip_on_a_foreign_cluster(reason: str) -> None:
    """Skip the test where its broker would not be the one that is meant."""
    if foreign_bootstrap() is not None:
        pytest.skip(f"{reason}: unset {_VARIABLE} to run this")
