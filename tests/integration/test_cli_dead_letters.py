import base64
import json

import pytest
from confluent_kafka import Producer

from producers.kafka import KafkaSettings, producer_config
from producers.topics import TopicSettings, topic_names
from stream_app.dead_letters import headers_of, value_of
from stream_app.raw_records import RawRecord, Refusal
from tests.commands import settings_environ, streakline

HOSTILE = b'{"run_id": "\x1b]0;owned\x07[red]' + b"x" * 100 + b"\xff"
REFUSALS = [
    Refusal(RawRecord(1, 41, b"run-a", b"{", 0.0), "not_json", "Input data was truncated"),
    Refusal(RawRecord(2, 7, b"\xff", HOSTILE, 0.0), "invalid", "no\x1b[2J"),
    Refusal(RawRecord(0, 0, None, None, 0.0), "not_json", "empty"),
]


@pytest.fixture
def environ(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, str]:
    producer = Producer(producer_config(kafka))
    for refusal in REFUSALS:
        producer.produce(
            topic_names(topics).dead_letters,
            value_of(refusal),
            refusal.record.key,
            headers=dict(headers_of(refusal, "streakline.steps")),
        )
    producer.flush()
    return settings_environ(kafka, topics)


def test_a_table_says_what_came_from_where_and_why(environ: dict[str, str]) -> None:
    ended = streakline("dead-letters", "list", environ=environ)
    assert (ended.code, ended.err) == (0, "")
    header, *rows = ended.lines
    assert header.split() == ["time", "source", "reason", "detail", "key", "value"]
    (first,) = (row for row in rows if "streakline.steps/1/41" in row)
    assert (
        first.split(maxsplit=2)[2].split() == "streakline.steps/1/41 not_json Input data was truncated run-a {".split()
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
    assert (found[0]["value"], found[0]["key"]) == (None, None)


def test_none(kafka: KafkaSettings, topics: TopicSettings) -> None:
    ended = streakline("dead-letters", "list", environ=settings_environ(kafka, topics))
    assert (ended.code, ended.out, ended.err) == (0, "", "there are no dead letters\n")
