"""`streakline dead-letters show`: one letter, safe to look at, or the very bytes."""

import base64
import json
import os
import pty

import pytest
from confluent_kafka import Producer

from producers.dead_letters import Source, letter_of
from producers.kafka import KafkaSettings, producer_config
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from tests.commands import COMMAND, settings_environ, start, streakline

HOSTILE = b'{"run_id": "\x1b]0;owned\x07",\r\n "loss": \xff}'


@pytest.fixture
def environ(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, str]:
    producer, topic = Producer(producer_config(kafka)), topic_names(topics).dead_letters
    hostile = letter_of(Source("streakline.steps", 1, 41, b"run\x9b2J", HOSTILE), "not_json", "no\x1b[2J")
    producer.produce(topic, hostile.value, hostile.key, 2, headers=[*hostile.headers, ("x-\x1b[1m", b"\x07")])
    producer.produce(topic, None, None, 2)
    producer.flush()
    assert [message.offset() for message in read_topic(kafka, topic)] == [0, 1]
    return settings_environ(kafka, topics)


def test_headers_and_value_are_shown_and_never_obeyed(environ: dict[str, str]) -> None:
    ended = streakline("dead-letters", "show", "2:0", environ=environ)
    assert (ended.code, ended.err) == (0, "")
    id_, time, *lines = ended.lines
    assert id_ == "id                2:0"
    assert time.split()[0] == "time"
    assert lines == [
        r"key               run\x9b2J",
        "reason            not_json",
        r"detail            no\x1b[2J",
        "source-topic      streakline.steps",
        "source-partition  1",
        "source-offset     41",
        r"x-\x1b[1m         \x07",
        "value             37 bytes",
        "",
        r'{"run_id": "\x1b]0;owned\x07",\r\n "loss": \xff}',
    ]


def test_a_letter_of_nothing_says_so(environ: dict[str, str]) -> None:
    ended = streakline("dead-letters", "show", "2:1", environ=environ)
    assert ended.code == 0
    assert [line.split() for line in ended.lines if not line.startswith("time")] == [
        ["id", "2:1"],
        ["key", "none"],
        ["value", "none"],
    ]


def test_json_is_that_of_the_list(environ: dict[str, str]) -> None:
    listed = {
        json.loads(line)["id"]: line for line in streakline("dead-letters", "list", "--json", environ=environ).lines
    }
    assert streakline("dead-letters", "show", "2:0", "--json", environ=environ).lines == [listed["2:0"]]
    assert base64.b64decode(json.loads(listed["2:0"])["value"]) == HOSTILE


def test_raw_gives_the_very_bytes_to_a_pipe_and_none_to_a_terminal(environ: dict[str, str]) -> None:
    piped = start("dead-letters", "show", "2:0", "--raw", environ=environ)
    assert (*piped.communicate(timeout=60), piped.returncode) == (HOSTILE, b"", 0)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(COMMAND[0], [*COMMAND, "dead-letters", "show", "2:0", "--raw"], {**os.environ, **environ})
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # what Linux says where the other side is closed
            break
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    assert b"a terminal may obey these bytes" in shown
    assert b"owned" not in shown


@pytest.mark.parametrize("wanted", ["2:2", "0:0", "999:0"])
def test_a_letter_that_is_not_there_is_one_sentence(wanted: str, environ: dict[str, str]) -> None:
    ended = streakline("dead-letters", "show", wanted, environ=environ)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        f"streakline: there is no dead letter {wanted}: `streakline dead-letters list` shows those there are\n"
    )
