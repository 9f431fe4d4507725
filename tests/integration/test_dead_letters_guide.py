"""Every command of docs/dead-letters.md, run on letters that are there, and every setting that it names."""

import re
import shlex

from confluent_kafka import Producer
from msgspec.structs import fields

from producers.dead_letters import Source, letter_of
from producers.kafka import KafkaSettings, producer_config
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from stream_app.settings import StreamSettings
from tests.commands import settings_environ, streakline
from tests.documents import ROOT, blocks

FOLDER = ROOT / "docs"
GUIDE = (FOLDER / "dead-letters.md").read_text()
SHOW, REQUEUE = blocks(GUIDE, "sh")


def test_the_commands_do_what_they_say(kafka: KafkaSettings, topics: TopicSettings) -> None:
    names = topic_names(topics)
    producer = Producer(producer_config(kafka))
    for partition, topic, reason in (
        (2, names.steps, "failed"),
        (2, names.steps, "failed"),
        (1, names.runs, "missing"),
    ):
        letter = letter_of(Source(topic, 0, 0, b"run", b"{}"), reason, "why")
        producer.produce(names.dead_letters, letter.value, letter.key, partition, headers=[*letter.headers])
    assert producer.flush(30) == 0
    said = {}
    for line in (SHOW + REQUEUE).splitlines():
        program, *arguments = shlex.split(line.replace("streakline.", topics.topic_prefix))
        assert program == "streakline"
        ended = streakline(*arguments, environ=settings_environ(kafka, topics))
        assert (ended.code, ended.err) == (0, ""), line
        said[line] = ended.lines
    assert [lines for line, lines in said.items() if "requeue" in line] == [
        [f"2:0 would go to {names.steps}"],
        [f"requeued 1 letter on {names.steps}"],
        [f"requeued 2 letters on {names.steps}"],
        [f"requeued 1 letter on {names.runs}"],
    ]
    assert len(list(read_topic(kafka, names.steps))) == 3


def test_the_settings_are_those_of_the_worker_with_their_defaults() -> None:
    defaults = {f"STREAKLINE_{field.name.upper()}": field.default for field in fields(StreamSettings)}
    rows = re.findall(r"\| `(STREAKLINE_\w+)` \| ([\d.,]+) \|$", GUIDE, re.MULTILINE)
    assert len(rows) == 3
    assert {name: float(value.replace(",", "")) for name, value in rows} == {name: defaults[name] for name, _ in rows}
    assert set(re.findall(r"STREAKLINE_[A-Z_]+", GUIDE)) <= defaults.keys()
