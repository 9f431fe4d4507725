from msgspec.structs import replace

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, partition_counts, topic_names
from tests.clusters import topics_under
from tests.commands import settings_environ, streakline


def test_what_is_missing_is_made(kafka: KafkaSettings, topic_prefix: str) -> None:
    settings = topics_under(topic_prefix, partitions=3)
    environ = settings_environ(kafka, settings)
    first = streakline("topics", "ensure", environ=environ)
    assert (first.code, first.err, len(first.lines)) == (0, "", 7)
    assert f"made {topic_prefix}steps with 3 partitions" in first.lines
    assert partition_counts(kafka)[topic_names(settings).steps] == 3
    second = streakline("topics", "ensure", environ=environ)
    assert (second.code, second.err, len(second.lines)) == (0, "", 7)
    assert f"{topic_prefix}steps is there" in second.lines


def test_the_broker_may_be_named_on_the_command_line(kafka: KafkaSettings, topics: TopicSettings) -> None:
    environ = settings_environ(replace(kafka, kafka_bootstrap="127.0.0.1:1"), topics)
    ended = streakline("topics", "ensure", "--bootstrap", kafka.kafka_bootstrap, environ=environ)
    assert (ended.code, ended.err) == (0, "")


def test_another_number_of_partitions_is_one_sentence(kafka: KafkaSettings, topics: TopicSettings) -> None:
    environ = settings_environ(kafka, topics) | {"STREAKLINE_PARTITIONS": "5"}
    ended = streakline("topics", "ensure", environ=environ)
    assert (ended.code, ended.out) == (3, "")
    assert "has 4 partitions and the settings say 5: set STREAKLINE_PARTITIONS=4" in ended.err
    assert ended.err.count("\n") == 1
