"""What a publisher could not send is seen and sent by hand."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from producers.codec import decode
from producers.events import StepEvent
from producers.kafka import KafkaSettings
from producers.publisher import StepPublisher
from producers.reader import read_topic
from producers.spool.folder import folders
from producers.topics import TopicSettings, topic_names
from streakline.processes import free_port
from tests.commands import settings_environ, streakline


def leave(bootstrap: str, topics: TopicSettings, run_id: str = "left", steps: int = 50) -> None:
    """A run whose broker is away: everything of it waits."""
    run = StepPublisher(run_id=run_id, kafka=KafkaSettings(kafka_bootstrap=bootstrap), topics=topics)
    for step in range(steps):
        run.step(step, 1.0)
    run.close(0.5)
    assert run.stats.waiting == steps + 2


def steps_on(kafka: KafkaSettings, topics: TopicSettings) -> list[int]:
    events = (decode(message.value() or b"") for message in read_topic(kafka, topic_names(topics).steps))
    return [event.step for event in events if isinstance(event, StepEvent)]


def aim(spool_dir: Path, bootstrap: str) -> None:
    """As if what waits had been for the broker at `bootstrap` all along."""
    for file in spool_dir.glob("*/owner.json"):
        owner = json.loads(file.read_bytes())
        file.write_text(json.dumps(owner | {"bootstrap": bootstrap}))


def test_what_was_left_is_listed_sent_in_order_and_gone(
    kafka: KafkaSettings, topics: TopicSettings, spool_dir: Path
) -> None:
    environ = settings_environ(kafka, topics)
    leave(f"127.0.0.1:{free_port()}", topics)
    aim(spool_dir, kafka.kafka_bootstrap)
    (folder,) = folders(spool_dir)

    listed = streakline("spool", "list", "--json", environ=environ)
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert [json.loads(line) for line in listed.lines] == [
        {
            "run_id": "left",
            "bytes": size,
            "bootstrap": kafka.kafka_bootstrap,
            "owner_is_alive": False,
            "folder": str(folder),
        }
    ]
    assert f"{size:,}" in streakline("spool", "list", environ=environ).out

    flushed = streakline("spool", "flush", environ=environ)
    assert (flushed.code, flushed.out, flushed.err) == (0, "sent 52 records of run left\n", "")
    assert steps_on(kafka, topics) == list(range(50))
    assert list(folders(spool_dir)) == []
    again = streakline("spool", "flush", environ=environ)
    assert again.out == f"nothing waits in {spool_dir} for the broker at {kafka.kafka_bootstrap}\n"
    assert f"nothing waits in {spool_dir}" in streakline("spool", "list", environ=environ).err


def test_what_is_for_another_broker_is_left_and_told_of(
    kafka: KafkaSettings, topics: TopicSettings, spool_dir: Path
) -> None:
    other = f"127.0.0.1:{free_port()}"
    leave(other, topics)
    ended = streakline("spool", "flush", environ=settings_environ(kafka, topics))
    assert ended.code == 0
    assert f"1 left for the broker at {other}: flush them with --bootstrap {other}" in ended.err
    assert len(list(folders(spool_dir))) == 1
    assert steps_on(kafka, topics) == []


def test_a_broker_that_is_away_is_one_sentence_and_nothing_is_lost(topics: TopicSettings, spool_dir: Path) -> None:
    away = f"127.0.0.1:{free_port()}"
    leave(away, topics)
    before = {file.name: file.read_bytes() for file in spool_dir.glob("*/*.events")}
    ended = streakline("spool", "flush", "--bootstrap", away)
    assert (ended.code, ended.out) == (3, "")
    assert f"streakline: the broker at {away} does not take the rest (" in ended.err
    assert before == {file.name: file.read_bytes() for file in spool_dir.glob("*/*.events")}


def _trains_for_ever(bootstrap: str, topics: TopicSettings, ready: "multiprocessing.synchronize.Event") -> None:
    run = StepPublisher(run_id="alive", kafka=KafkaSettings(kafka_bootstrap=bootstrap), topics=topics)
    run.step(0, 1.0)
    while not run.stats.published >= 3:
        pass
    ready.set()
    signal.pause()


def test_a_living_publisher_keeps_its_own(kafka: KafkaSettings, topics: TopicSettings, spool_dir: Path) -> None:
    away = f"127.0.0.1:{free_port()}"
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_trains_for_ever, args=(away, topics, ready), daemon=True)
    process.start()
    try:
        assert ready.wait(60)
        (listed,) = streakline("spool", "list", "--json").lines
        assert json.loads(listed)["owner_is_alive"] is True
        aim(spool_dir, kafka.kafka_bootstrap)
        ended = streakline("spool", "flush", environ=settings_environ(kafka, topics))
        assert (ended.code, steps_on(kafka, topics)) == (0, [])
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
        ended = streakline("spool", "flush", environ=settings_environ(kafka, topics))
        assert (ended.out, steps_on(kafka, topics)) == ("sent 3 records of run alive\n", [0])
    finally:
        process.kill()


def test_settings_that_cannot_be_right_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAKLINE_SPOOL_MAX_BYTES", "many")
    ended = streakline("spool", "list")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("streakline: STREAKLINE_SPOOL_MAX_BYTES: ")
