import base64
import json

import pytest
from confluent_kafka import Producer

from producers.dead_letters import Source, letter_of
from producers.kafka import KafkaSettings, producer_config
from producers.topics import TopicSettings, topic_names
from tests.commands import settings_environ, streakline

HOSTILE = b'{"run_id": "\x1b]0;owned\x07[red]' + b"x" * 100 + b"\xff"
LETTERS = [
    letter_of(Source("streakline.steps", 1, 41, b"run-a", b"{"), "not_json", "Input data was truncated"),
    letter_of(Source("streakline.steps", 2, 7, b"\xff", HOSTILE), "invalid", "no\x1b[2J"),
    letter_of(Source("streakline.steps", 0, 0, None, None), "not_json", "empty"),
]


@pytest.fixture
def environ(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, str]:
    producer = Producer(producer_config(kafka))
    for letter in LETTERS:
        producer.produce(topic_names(topics).dead_letters, letter.value, letter.key, headers=[*letter.headers])
    producer.flush()
    return settings_environ(kafka, topics)


def test_a_table_says_what_came_from_where_and_why(environ: dict[str, str]) -> None:
    ended = streakline("dead-letters", "list", environ=environ)
    assert (ended.code, ended.err) == (0, "")
    header, *rows = ended.lines
    assert header.split() == ["id", "time", "source", "reason", "detail", "requeued", "from", "key", "value"]
    (first,) = (row for row in rows if "streakline.steps/1/41" in row)
    assert (
        first.split(maxsplit=3)[3].split() == "streakline.steps/1/41 not_json Input data was truncated run-a {".split()
    )
    (hostile,) = (row for row in rows if "streakline.steps/2/7" in row)
    assert r"no\x1b[2J" in hostile
    assert hostile.endswith(r'{"run_id": "\x1b]0;owned\x07[red]' + "x" * 33 + "…")


def test_json_has_the_values_whole(environ: dict[str, str]) -> None:
    letters = [json.loads(line) for line in streakline("dead-letters", "list", "--json", environ=environ).lines]
    found = {letter["source_offset"]: letter for letter in letters}
    assert sorted(found) == [0, 7, 41]
    assert base64.b64decode(found[7]["value"]) == HOSTILE
    assert (found[7]["reason"], found[7]["key"], found[7]["source_partition"]) == ("invalid", r"\xff", 2)
    assert {letter["id"] for letter in letters} == {f"{each['partition']}:{each['offset']}" for each in letters}
    assert (found[0]["value"], found[0]["key"]) == (None, None)


def test_none(kafka: KafkaSettings, topics: TopicSettings) -> None:
    ended = streakline("dead-letters", "list", environ=settings_environ(kafka, topics))
    assert (ended.code, ended.out, ended.err) == (0, "", "there are no dead letters\n")
