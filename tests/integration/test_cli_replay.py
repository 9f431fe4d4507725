import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.codec import MAX_EVENT_BYTES, decode, encode
from producers.events import RunCompleted, RunStarted, StepEvent
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.replay import Recorded, publish, recorded
from producers.topics import TopicsError, TopicSettings, ensure_topics, topic_names
from streakline.broker import start_broker
from streakline.processes import free_port, stop
from tests.commands import settings_environ, start, streakline

STARTED = encode(RunStarted(run_id="a", ts=0.0))
COMPLETED = encode(RunCompleted(run_id="a", ts=99.0, steps=3))


def step(number: int, run_id: str = "a") -> bytes:
    return encode(StepEvent(run_id=run_id, step=number, ts=float(number), loss=1.0))


@pytest.fixture
def environ(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, str]:
    return settings_environ(kafka, topics)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"\n".join([STARTED, *map(step, range(1, 4)), COMPLETED]))
    return path


def published(kafka: KafkaSettings, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    return [(message.key(), message.value()) for message in read_topic(kafka, topic)]


def test_events_are_published_as_they_were_in_their_order(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str], recording: Path
) -> None:
    ended = streakline("replay", recording, environ=environ)
    names = topic_names(topics)
    assert (ended.code, ended.out, ended.err) == (0, f"published 5 events to {names.steps}\n", "")
    assert published(kafka, names.steps) == [(b"a", line) for line in recording.read_bytes().splitlines()]
    assert published(kafka, names.runs) == [(b"a", STARTED), (b"a", COMPLETED)]


def test_a_run_is_published_as_another(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str], recording: Path
) -> None:
    ended = streakline("replay", recording, "--run-id", "b", "--attempt", "9", environ=environ)
    assert ended.code == 0
    records = published(kafka, topic_names(topics).steps)
    assert {key for key, _ in records} == {b"b"}
    events = [decode(value or b"") for _, value in records]
    assert [(event.run_id, event.attempt) for event in events] == [("b", 9)] * 5


def test_malformed_lines_are_told_of_and_the_others_published(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str]
) -> None:
    lines = [step(1), b"{", step(2) + b" " * MAX_EVENT_BYTES, b"", step(3)]
    ended = streakline("replay", "-", stdin=b"\n".join(lines), environ=environ)
    assert ended.code == 1
    told = ended.err.splitlines()
    assert [line.split(": ")[:2] for line in told[:2]] == [["<stdin>:2", "not_json"], ["<stdin>:3", "too_large"]]
    assert told[2].startswith("streakline: skipped 2 of 4 lines, which hold no event (above)")
    assert [value for _, value in published(kafka, topic_names(topics).steps)] == [step(1), step(3)]


def test_raw_publishes_malformed_lines_too(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str]
) -> None:
    large = step(2).ljust(MAX_EVENT_BYTES + 1)
    lines = [step(1), b'{"run_id": "b"', b"\xff", large]
    ended = streakline("replay", "--raw", "-", stdin=b"\n".join(lines), environ=environ)
    assert (ended.code, ended.err) == (0, "")
    keys = [b"a", b"b", None, b"a"]
    assert sorted(published(kafka, topic_names(topics).steps), key=repr) == sorted(
        zip(keys, lines, strict=True), key=repr
    )


def test_the_largest_event_can_be_published(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str]
) -> None:
    line = step(1).ljust(MAX_EVENT_BYTES)
    assert streakline("replay", "-", stdin=line, environ=environ).code == 0
    assert published(kafka, topic_names(topics).steps) == [(b"a", line)]


def test_ctrl_c_while_waiting_for_the_next_event_is_quiet(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "slow.jsonl"
    path.write_bytes(step(1) + b"\n" + step(1_000_000))
    process = start("replay", path, "--speed", "1", environ=environ)
    assert next(read_topic(kafka, topic_names(topics).steps, follow=True)).value() == step(1)
    process.send_signal(signal.SIGINT)
    assert (*process.communicate(), process.returncode) == (b"", b"", 130)
    assert len(published(kafka, topic_names(topics).steps)) == 1


def test_missing_topics_are_one_sentence(kafka: KafkaSettings, recording: Path) -> None:
    environ = settings_environ(kafka, TopicSettings(topic_prefix="nowhere."))
    ended = streakline("replay", recording, environ=environ)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith("streakline: there is no topic nowhere.steps on the broker at ")


def test_more_events_than_the_client_holds(kafka: KafkaSettings, topics: TopicSettings) -> None:
    events = [recorded(step(number, f"run-{number % 7}").ljust(20_000)) for number in range(5_000)]
    result = publish(kafka, topic_names(topics), events)
    assert (result.events, result.records, result.acknowledged, result.error) == (5_000, 5_000, 5_000, None)
    assert sum(1 for _ in read_topic(kafka, topic_names(topics).steps)) == 5_000


def test_what_was_under_way_arrives_when_the_events_fail(kafka: KafkaSettings, topics: TopicSettings) -> None:
    def events() -> Iterator[Recorded]:
        yield recorded(step(1))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        publish(kafka, topic_names(topics), events())
    assert len(published(kafka, topic_names(topics).steps)) == 1


def test_a_broker_that_goes_away_is_counted_and_ends_it() -> None:
    port = free_port()
    broker = start_broker(port)
    kafka, topics = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{port}"), TopicSettings(partitions=2)

    def events() -> Iterator[Recorded]:
        yield recorded(step(1))
        next(read_topic(kafka, topic_names(topics).steps, follow=True))
        broker.kill()
        # Without end: it has to stop by itself.
        for number in range(2, 1 << 62):
            yield recorded(step(number))

    try:
        ensure_topics(kafka, topics)
        result = publish(kafka, topic_names(topics), events(), timeout_seconds=2.0)
    finally:
        stop(broker)
    assert result.acknowledged == 1
    assert result.records > 1
    assert result.error == "Local: Message timed out"


def test_a_broker_that_is_away_is_known_before_the_events_are_read() -> None:
    away = KafkaSettings(kafka_bootstrap="127.0.0.1:1")
    events = iter([recorded(step(1))])
    with pytest.raises(TopicsError, match="no answer from the broker"):
        publish(away, topic_names(TopicSettings()), events, broker_timeout_seconds=1.0)
    assert len(list(events)) == 1
