"""What is known of every project, taken over from the topics under another prefix, whatever their partitions.

A key's partition depends on their number, so a topic cannot be given more: its keys' states would be where their next
events are not. Runs begin anew under another prefix with another number; of projects, the scores to compare their next
run with are to go along.
"""

from confluent_kafka import Producer
from msgspec.structs import replace

from producers.kafka import KafkaSettings, producer_config
from producers.reader import read_topic
from producers.topics import TopicsError, TopicSettings, topic_names
from stream_app.histories import decode_history

_TIMEOUT_SECONDS = 30.0


def take_over_projects(kafka: KafkaSettings, settings: TopicSettings, prefix: str) -> int:
    """Write the last row of each project under `prefix` to where workers under the settings' recover from.

    Gives how many; may be done again. Raises `TopicsError` where more is known there already, or the broker does not
    take them, and `UnreadableRecord` for rows of a later release.
    """
    source = topic_names(replace(settings, topic_prefix=prefix)).projects_changelog
    target = topic_names(settings).projects_changelog
    if source == target:
        raise TopicsError(f"{source} is the one to take over: set STREAKLINE_TOPIC_PREFIX to that of the new topics")
    known, there = _rows(kafka, source), _rows(kafka, target)
    if any(known.get(key) != value for key, value in there.items()):
        raise TopicsError(f"{target} knows of diffs of its own, which are not to be overwritten: leave it as it is")
    for value in known.values():
        decode_history(value)
    failed: list[str] = []
    producer = Producer(producer_config(kafka) | {"message.max.bytes": 32 << 20})
    for key, value in known.items():
        producer.produce(target, value, key, on_delivery=lambda error, _: failed.append(error.str()) if error else None)
    if producer.flush(_TIMEOUT_SECONDS) or failed:
        reason = failed[0] if failed else f"no answer in {_TIMEOUT_SECONDS:g} s"
        raise TopicsError(f"{target} does not take all ({reason}): see to it, then try again")
    return len(known)


def _rows(kafka: KafkaSettings, changelog: str) -> dict[bytes, bytes]:
    """Key → value of the rows that count."""
    last = {message.key(): message.value() for message in read_topic(kafka, changelog)}
    return {key: value for key, value in last.items() if key is not None and value is not None}
