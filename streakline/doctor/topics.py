"""Whether the topics on the broker are as the settings and this release want them. Pure."""

from collections.abc import Iterator, Mapping

from confluent_kafka.admin import ClusterMetadata, NewTopic, TopicMetadata

from producers.topics import TopicSettings, topic_specs
from streakline.doctor.findings import Finding, ok, some, warning, wrong

_SUBJECT = "topics"
_AT_LEAST = ("retention.ms", "max.message.bytes", "min.insync.replicas")
_UNLIMITED = "-1"


def judge_topics(cluster: ClusterMetadata, settings: TopicSettings) -> Iterator[Finding]:
    """Whether all are there, with the partitions and copies that they should have."""
    specs = topic_specs(settings)
    there = {spec.topic: cluster.topics[spec.topic] for spec in specs if spec.topic in cluster.topics}
    found = [*_missing(specs, there), *_partitions(there, settings), *_copies(there, settings, len(cluster.brokers))]
    partitions = "1 partition" if settings.partitions == 1 else f"{settings.partitions} partitions"
    yield from found or [ok(_SUBJECT, f"all {len(specs)} are there with {partitions}, each with a leader")]


def _missing(specs: list[NewTopic], there: Mapping[str, TopicMetadata]) -> Iterator[Finding]:
    names = [spec.topic for spec in specs if spec.topic not in there]
    if names:
        yield wrong(_SUBJECT, f"{', '.join(names)}: not on the broker", "run `streakline topics ensure`")


def _partitions(there: Mapping[str, TopicMetadata], settings: TopicSettings) -> Iterator[Finding]:
    counts = {name: len(topic.partitions) for name, topic in there.items()}
    if len(different := set(counts.values())) > 1:
        # The same key is then on another partition of each, and no worker has all of a run.
        yield wrong(
            _SUBJECT,
            f"they have different numbers of partitions ({', '.join(map(str, sorted(different)))}), and a run's "
            "state is not where its steps are",
            "make a new set with another STREAKLINE_TOPIC_PREFIX, as docs/operations.md says",
        )
    elif different and different != {settings.partitions}:
        (count,) = different
        yield wrong(
            _SUBJECT,
            f"they have {count} partitions and the settings say {settings.partitions}",
            f"set STREAKLINE_PARTITIONS={count}, or make a new set with another STREAKLINE_TOPIC_PREFIX",
        )


def _copies(there: Mapping[str, TopicMetadata], settings: TopicSettings, brokers: int) -> Iterator[Finding]:
    leaderless, lagging, few = [], [], []
    for name, topic in there.items():
        for number, partition in topic.partitions.items():
            if partition.leader < 0:
                leaderless.append(f"{name}/{number}")
            elif len(partition.isrs) < len(partition.replicas):
                lagging.append(f"{name}/{number}")
        if any(len(partition.replicas) < settings.replication for partition in topic.partitions.values()):
            few.append(name)
    if leaderless:
        yield wrong(_SUBJECT, f"{some(leaderless)} without a leader: nobody can write there", "see to the brokers")
    if lagging:
        yield warning(_SUBJECT, f"{some(lagging)} with copies that are behind", "see to the brokers")
    if few:
        yield warning(
            _SUBJECT,
            f"{some(few)} with fewer copies than the {settings.replication} of the settings",
            "have kafka-reassign-partitions.sh make more, or set STREAKLINE_REPLICATION",
        )
    if settings.replication == 1 and brokers > 1:
        yield warning(
            _SUBJECT,
            f"there are {brokers} brokers, and each record is on one of them only",
            "make a new set of topics with STREAKLINE_REPLICATION=3",
        )


def judge_configs(configs: Mapping[str, Mapping[str, str]], settings: TopicSettings) -> Iterator[Finding]:
    """Whether topics keep what they should; `configs` is topic → the broker's configuration of it."""
    found = []
    for spec in topic_specs(settings):
        if (told := configs.get(spec.topic)) is None:
            continue
        wanted = {name: str(value) for name, value in (spec.config or {}).items()}
        if (policy := told.get("cleanup.policy")) is not None and policy != wanted["cleanup.policy"]:
            found.append(
                wrong(
                    _SUBJECT,
                    f"{spec.topic} has cleanup.policy={policy}",
                    f"set it to {wanted['cleanup.policy']} with kafka-configs.sh: else states are lost, or records are",
                )
            )
        found += [
            warning(
                _SUBJECT,
                f"{spec.topic} has {name}={told[name]}, which is less than the {least} of this release",
                f"set {name}={least} with kafka-configs.sh, unless less is meant",
            )
            for name in _AT_LEAST
            if (least := wanted.get(name)) is not None and _is_less(told.get(name), least)
        ]
    yield from found or [ok(_SUBJECT, "retention, cleanup and sizes are those of this release, or more")]


def _is_less(told: str | None, least: str) -> bool:
    return told is not None and told != _UNLIMITED and int(told) < int(least)
