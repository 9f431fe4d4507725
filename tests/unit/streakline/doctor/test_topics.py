"""What is said of topics, by what the broker tells of them."""

from collections.abc import Iterable

import pytest
from confluent_kafka.admin import AclOperation, BrokerMetadata, ClusterMetadata, PartitionMetadata, TopicMetadata

from producers.topics import TopicSettings, topic_names, topic_specs
from streakline.doctor.findings import Finding
from streakline.doctor.permissions import judge_permissions
from streakline.doctor.topics import judge_configs, judge_topics

SETTINGS = TopicSettings(partitions=2)
NAMES = topic_names(SETTINGS)


def partition(number: int, leader: int = 1, replicas: tuple[int, ...] = (1,), isrs: tuple[int, ...] = (1,)) -> object:
    made = PartitionMetadata()
    made.id, made.leader, made.replicas, made.isrs = number, leader, list(replicas), list(isrs)
    return made


def cluster(settings: TopicSettings = SETTINGS, brokers: int = 1) -> ClusterMetadata:
    made = ClusterMetadata()
    made.brokers = {number: BrokerMetadata() for number in range(1, brokers + 1)}
    made.topics = {}
    for spec in topic_specs(settings):
        topic = made.topics[spec.topic] = TopicMetadata()
        topic.partitions = {number: partition(number) for number in range(settings.partitions)}  # type: ignore[misc]
    return made


def only(findings: Iterable[Finding]) -> Finding:
    (finding,) = list(findings)
    return finding


def test_all_is_well() -> None:
    assert only(judge_topics(cluster(), SETTINGS)).finding == "all 7 are there with 2 partitions, each with a leader"


def test_what_is_missing_is_named() -> None:
    there = cluster()
    del there.topics[NAMES.diffs], there.topics[NAMES.runs]
    found = only(judge_topics(there, SETTINGS))
    assert (found.verdict, found.remedy) == ("wrong", "run `streakline topics ensure`")
    assert found.finding == f"{NAMES.runs}, {NAMES.diffs}: not on the broker"


def test_another_number_of_partitions_than_the_settings() -> None:
    found = only(judge_topics(cluster(TopicSettings(partitions=8)), SETTINGS))
    assert found.finding == "they have 8 partitions and the settings say 2"
    assert (found.remedy or "").startswith("set STREAKLINE_PARTITIONS=8")


def test_a_changelog_that_does_not_agree_with_its_topic() -> None:
    there = cluster()
    there.topics[NAMES.steps].partitions[2] = partition(2)  # type: ignore[assignment]
    found = only(judge_topics(there, SETTINGS))
    assert found.verdict == "wrong"
    assert "different numbers of partitions (2, 3)" in found.finding


@pytest.mark.parametrize(
    ("made", "brokers", "settings", "verdict", "said"),
    [
        (partition(0, leader=-1), 1, SETTINGS, "wrong", f"{NAMES.steps}/0 without a leader"),
        (partition(0, replicas=(1, 2)), 1, SETTINGS, "warning", f"{NAMES.steps}/0 with copies that are behind"),
        (partition(0), 2, SETTINGS, "warning", "there are 2 brokers, and each record is on one of them only"),
    ],
)
def test_what_may_be_lost(made: object, brokers: int, settings: TopicSettings, verdict: str, said: str) -> None:
    there = cluster(brokers=brokers)
    there.topics[NAMES.steps].partitions[0] = made  # type: ignore[assignment]
    found = only(judge_topics(there, settings))
    assert found.verdict == verdict
    assert said in found.finding


def test_fewer_copies_than_the_settings_say() -> None:
    found = only(judge_topics(cluster(brokers=3), TopicSettings(partitions=2, replication=3)))
    assert found.finding.endswith("and 4 more with fewer copies than the 3 of the settings")


def told() -> dict[str, dict[str, str]]:
    return {
        spec.topic: {name: str(value) for name, value in (spec.config or {}).items()} for spec in topic_specs(SETTINGS)
    }


def test_configurations_as_they_were_made_or_larger_are_well() -> None:
    configs = told()
    configs[NAMES.steps]["retention.ms"] = "-1"
    configs[NAMES.runs]["max.message.bytes"] = str(64 << 20)
    assert only(judge_configs(configs, SETTINGS)).verdict == "ok"


@pytest.mark.parametrize(
    ("topic", "name", "value", "verdict"),
    [
        (NAMES.state_changelog, "cleanup.policy", "delete", "wrong"),
        (NAMES.steps, "cleanup.policy", "compact", "wrong"),
        (NAMES.steps, "retention.ms", "3600000", "warning"),
        (NAMES.dead_letters, "max.message.bytes", "1048588", "warning"),
    ],
)
def test_a_configuration_that_loses_something_is_named(topic: str, name: str, value: str, verdict: str) -> None:
    configs = told()
    configs[topic][name] = value
    found = only(judge_configs(configs, SETTINGS))
    assert found.verdict == verdict
    assert f"{topic} has {name}={value}" in found.finding
    assert f"{told()[topic][name]}" in (found.remedy or "")


ALL = {spec.topic: {AclOperation.READ, AclOperation.WRITE} for spec in topic_specs(SETTINGS)}


def test_a_broker_that_does_not_say_who_may_what() -> None:
    assert only(judge_permissions(dict.fromkeys(ALL), NAMES)).finding == "the broker does not say what its users may do"


def test_who_may_do_all() -> None:
    for granted in (ALL, {topic: {AclOperation.ALL} for topic in ALL}):
        assert only(judge_permissions(granted, NAMES)).finding == "this user may read and write every topic"


def test_what_a_program_lacks_is_named() -> None:
    granted = ALL | {NAMES.state_changelog: {AclOperation.READ}}
    found = only(judge_permissions(granted, NAMES))
    assert found.verdict == "warning"
    assert found.finding == f"not enough for a stream worker: WRITE to {NAMES.state_changelog}"
