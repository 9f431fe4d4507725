"""`streakline diff-worker` refuses to start on what cannot be right, in one sentence, before it takes anything."""

import socket
import sys

import pytest

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from tests.commands import settings_environ, streakline


def test_a_broker_that_is_away() -> None:
    ended = streakline("diff-worker", environ={"STREAKLINE_KAFKA_BOOTSTRAP": "127.0.0.1:1"})
    assert ended.code == 3
    assert ended.err.startswith("streakline: no answer from the broker at 127.0.0.1:1")
    assert ended.err.count("\n") == 1


def test_topics_that_are_missing(kafka: KafkaSettings) -> None:
    ended = streakline("diff-worker", environ=settings_environ(kafka, TopicSettings(topic_prefix="never-made.")))
    assert (ended.code, ended.err) == (
        3,
        "streakline: topic never-made.steps is missing: run `streakline topics ensure`\n",
    )


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--redis-url", "nonsense", "cannot start: STREAKLINE_REDIS_URL is no Redis URL"),
        ("--lake", "nonsense://x", "cannot start: The lake 'nonsense://x' is neither a folder nor a URI"),
        ("--device", "abacus", "cannot start: "),
        ("--metrics-port", "{taken}", "in use"),
        ("--metrics-port", "70000", "STREAKLINE_METRICS_PORT: Expected `int` <= 65535"),
        ("--dtype", "int3", "Invalid value for '--dtype'"),
    ],
)
def test_settings_that_cannot_be_right(
    option: str, value: str, complaint: str, kafka: KafkaSettings, topics: TopicSettings
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = value.format(taken=server.getsockname()[1])
        ended = streakline("diff-worker", option, given, environ=settings_environ(kafka, topics))
    assert ended.code == 2
    assert complaint in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("command", [["diff-worker"], ["diff", "base", "ft"], ["compact"]])
def test_what_is_not_installed_is_one_sentence(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    ended = streakline(*command)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith("needs more than is installed (torch): pip install 'streakline[workers]'\n")
