"""Asks the broker: whether it is there and lets us in, and what it says of topics, permissions and stored states."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from ipaddress import ip_address
from typing import TypeVar

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource

from producers.kafka import KafkaSettings, client_config
from producers.tansu import is_tansu
from producers.topics import Topics, TopicSettings, cluster_metadata, topic_names, topic_specs
from streakline.doctor.examining import Check, guarded
from streakline.doctor.findings import Finding, ok, warning
from streakline.doctor.permissions import Granted, judge_permissions
from streakline.doctor.states import look_at_states
from streakline.doctor.topics import judge_configs, judge_topics

_TIMEOUT_SECONDS = 10.0

T = TypeVar("T")


def look_at_kafka(kafka: KafkaSettings, settings: TopicSettings) -> Iterator[Finding]:
    """Everything, as far as the broker answers. Raises `TopicsError` where it is away, and `SettingsError`."""
    cluster = cluster_metadata(kafka, timeout_seconds=_TIMEOUT_SECONDS)
    yield judge_cluster(cluster, kafka)
    yield from judge_topics(cluster, settings)
    names = topic_names(settings)
    there = [spec.topic for spec in topic_specs(settings) if spec.topic in cluster.topics]
    admin = AdminClient(client_config(kafka))
    for check in (
        Check("topics", lambda: judge_configs(_configs(admin, there), settings)),
        Check("permissions", lambda: judge_permissions(_granted(admin, there), names)),
        Check("states", lambda: _states(kafka, names, cluster)),
    ):
        yield from guarded(check)


def judge_cluster(cluster: ClusterMetadata, kafka: KafkaSettings) -> Finding:
    """What it is."""
    count = len(cluster.brokers)
    said = f"{kafka.kafka_bootstrap} answers and lets this user in: " + (
        "1 broker" if count == 1 else f"{count} brokers"
    )
    if not is_tansu(cluster.cluster_id):
        return ok("kafka", f"{said} (what version, it does not tell its clients)")
    said += ", Tansu, which keeps all in memory"
    if all(_is_loopback(broker.host or "") for broker in cluster.brokers.values()):
        return ok("kafka", said)
    return warning("kafka", said, "use Apache Kafka for what is not to be lost")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _configs(admin: AdminClient, topics: list[str]) -> Mapping[str, Mapping[str, str]]:
    asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
    if not asked:
        return {}
    answers = admin.describe_configs(asked, request_timeout=_TIMEOUT_SECONDS)
    return {
        resource.name: {entry.name: entry.value for entry in _result(answer).values() if entry.value is not None}
        for resource, answer in answers.items()
    }


def _granted(admin: AdminClient, topics: list[str]) -> Granted:
    if not topics:
        return {}
    answers = admin.describe_topics(
        TopicCollection(topics), include_authorized_operations=True, request_timeout=_TIMEOUT_SECONDS
    )
    told = {name: _result(answer).authorized_operations for name, answer in answers.items()}
    return {name: None if operations is None else set(operations) for name, operations in told.items()}


def _states(kafka: KafkaSettings, names: Topics, cluster: ClusterMetadata) -> Iterator[Finding]:
    for topic in (names.state_changelog, names.projects_changelog):
        if topic in cluster.topics:
            yield look_at_states(kafka, names, topic, sorted(cluster.topics[topic].partitions))


def _result(answer: Future[T]) -> T:
    """Raises OSError."""
    try:
        return answer.result(_TIMEOUT_SECONDS + 1)
    except KafkaException as error:
        raise OSError(f"the broker does not say: {error.args[0].str()}") from None
