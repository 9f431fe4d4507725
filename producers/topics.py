"""The topics: their names, what their records are, and how to make them with nothing left to a broker's defaults."""

from typing import Annotated

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata, NewTopic
from msgspec import Meta, Struct

from producers.kafka import MAX_RECORD_BYTES, KafkaSettings, client_config
from producers.refusals import why_refused, wrong_settings

_LARGEST_BYTES = 32 << 20
DAY_MS = 24 * 60 * 60 * 1000


class TopicSettings(Struct, frozen=True, kw_only=True):
    """How topics are named and made; each field is the environment variable ``STREAKLINE_<FIELD>``."""

    topic_prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,100}$(?!\n)")] = "streakline."
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 8
    """of every topic; the unit in which stream workers share the load"""
    replication: Annotated[int, Meta(ge=1, le=7)] = 1


class Topics(Struct, frozen=True):
    """The names of the topics under one prefix."""

    steps: str
    runs: str
    signals: str
    diffs: str
    """keyed by project, so that one stream worker sees all of a project's"""
    dead_letters: str
    state_changelog: str
    """every run's state, compacted: what a stream worker recovers its table of runs from"""
    projects_changelog: str
    """the latest scores of every project's checkpoints, the same"""


class TopicsError(RuntimeError):
    """The topics are not as they have to be; the message says what to do."""


STREAM_APP_ID = "stream"
STATE_TABLE = "runs"
PROJECTS_TABLE = "projects"


def topic_names(settings: TopicSettings) -> Topics:
    """The names under the settings' prefix."""
    prefix = settings.topic_prefix
    return Topics(
        steps=f"{prefix}steps",
        runs=f"{prefix}runs",
        signals=f"{prefix}signals",
        diffs=f"{prefix}diffs",
        dead_letters=f"{prefix}dead-letters",
        state_changelog=f"{stream_app_id(settings)}-{STATE_TABLE}-changelog",
        projects_changelog=f"{stream_app_id(settings)}-{PROJECTS_TABLE}-changelog",
    )


def stream_app_id(settings: TopicSettings) -> str:
    """The consumer group of the stream workers."""
    return f"{settings.topic_prefix}{STREAM_APP_ID}"


def diff_group(settings: TopicSettings) -> str:
    """The consumer group of the diff workers.

    >>> diff_group(TopicSettings())
    'streakline-diff'
    """
    return f"{settings.topic_prefix.removesuffix('.')}-diff".removeprefix("-")


def regressions_group(settings: TopicSettings) -> str:
    """The consumer group of those who write regressions into the lake.

    >>> regressions_group(TopicSettings())
    'streakline-regressions'
    """
    return f"{settings.topic_prefix.removesuffix('.')}-regressions".removeprefix("-")


def archive_group(settings: TopicSettings) -> str:
    """The consumer group of those who keep steps, signals and the life of runs in the lake.

    >>> archive_group(TopicSettings())
    'streakline-archive'
    """
    return f"{settings.topic_prefix.removesuffix('.')}-archive".removeprefix("-")


def topic_specs(settings: TopicSettings) -> list[NewTopic]:
    """Every topic with all that matters said: a broker's defaults differ, and Tansu does not tell its own."""
    names = topic_names(settings)
    durable = {"cleanup.policy": "delete", "min.insync.replicas": "2" if settings.replication > 2 else "1"}
    # An event is at most 1 MiB; what carries a whole state or a refused record may be larger.
    event = durable | {"max.message.bytes": str(MAX_RECORD_BYTES)}
    large = durable | {"max.message.bytes": str(_LARGEST_BYTES)}
    # The segment that is written to is not compacted, and a recovery reads all of it: a broker's default is 1 GiB.
    changelog = large | {"cleanup.policy": "compact", "segment.bytes": str(_LARGEST_BYTES)}
    configs = {
        names.steps: event | {"retention.ms": str(7 * DAY_MS)},
        names.runs: event | {"retention.ms": str(90 * DAY_MS)},
        names.signals: large | {"retention.ms": str(90 * DAY_MS)},
        names.diffs: event | {"retention.ms": str(90 * DAY_MS)},
        names.dead_letters: large | {"retention.ms": str(30 * DAY_MS)},
        names.state_changelog: changelog,
        names.projects_changelog: changelog,
    }
    return [
        NewTopic(name, num_partitions=settings.partitions, replication_factor=settings.replication, config=config)
        for name, config in configs.items()
    ]


def cluster_metadata(kafka: KafkaSettings, *, timeout_seconds: float = 10.0) -> ClusterMetadata:
    """What the broker says of itself and its topics.

    Raises `TopicsError` where it is away or lets nobody in, `SettingsError` for certificate files that are none.
    """
    try:
        admin = AdminClient(client_config(kafka))
    except KafkaException as error:
        raise wrong_settings(error) from None
    try:
        return admin.list_topics(timeout=timeout_seconds)
    except KafkaException as error:
        raise broker_away(kafka, error) from None


def partition_counts(kafka: KafkaSettings, *, timeout_seconds: float = 10.0) -> dict[str, int]:
    """Topic → number of partitions, of every topic there is. Raises as `cluster_metadata` does."""
    return partitions_in(cluster_metadata(kafka, timeout_seconds=timeout_seconds))


def partitions_in(cluster: ClusterMetadata) -> dict[str, int]:
    """Topic → number of partitions, of every topic there is."""
    return {name: len(topic.partitions) for name, topic in cluster.topics.items()}


def ensure_topics(kafka: KafkaSettings, settings: TopicSettings, *, timeout_seconds: float = 10.0) -> list[str]:
    """Make the topics that are missing and return their names; a topic that is there is left as it is.

    Raises `TopicsError` where the broker is away, refuses, or holds a topic with another number of partitions.
    """
    there = partition_counts(kafka, timeout_seconds=timeout_seconds)
    check_partitions(there, settings)
    missing = [spec for spec in topic_specs(settings) if spec.topic not in there]
    if missing:
        admin = AdminClient(client_config(kafka))
        for name, future in admin.create_topics(missing, operation_timeout=timeout_seconds).items():
            try:
                future.result()
            except KafkaException as error:
                raise TopicsError(f"cannot make topic {name}: {error.args[0].str()}") from None
    return [spec.topic for spec in missing]


def check_partitions(there: dict[str, int], settings: TopicSettings) -> None:
    """Raise `TopicsError` where one of our topics has another number of partitions than the settings say."""
    for spec in topic_specs(settings):
        count = there.get(spec.topic, settings.partitions)
        if count != settings.partitions:
            raise TopicsError(
                f"topic {spec.topic} has {count} partitions and the settings say {settings.partitions}: "
                f"set STREAKLINE_PARTITIONS={count}, or make a new set of topics with another STREAKLINE_TOPIC_PREFIX"
            )


def check_topics(there: dict[str, int], settings: TopicSettings) -> None:
    """Raise `TopicsError` where one of our topics is missing, or has another number of partitions."""
    missing = [spec.topic for spec in topic_specs(settings) if spec.topic not in there]
    if missing:
        raise TopicsError(f"topic {missing[0]} is missing: run `streakline topics ensure`")
    check_partitions(there, settings)


def broker_away(kafka: KafkaSettings, error: KafkaException) -> TopicsError:
    """The sentence for a broker that does not answer; it is asked once more, for 5 s at most, why it does not."""
    refused = why_refused(kafka)
    if refused is not None:
        return TopicsError(f"the broker at {kafka.kafka_bootstrap} lets nobody in with these settings: {refused}")
    return TopicsError(
        f"no answer from the broker at {kafka.kafka_bootstrap} ({error.args[0].str()}): "
        "start one with `streakline up`, or set STREAKLINE_KAFKA_BOOTSTRAP"
    )
