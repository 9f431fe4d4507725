"""Whatever the network and the broker do: training goes on, and every event arrives once and in order."""

import math
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from producers.kafka import KafkaSettings, client_config
from producers.publisher import StepPublisher
from producers.spool.folder import folders
from producers.topics import TopicSettings, ensure_topics, topic_names, topic_specs
from streakline.broker import start_broker
from streakline.processes import free_port, stop
from tests.delivered import assert_all_arrived, delivered, outline, train, whole
from tests.faulty_broker import FaultyBroker
from tests.worker import wait_until

# What a fault that has ended may still cost: the client waits before it connects again, on a busy machine.
CLOSE_SECONDS = 60.0


def publisher(kafka: KafkaSettings, topics: TopicSettings, **arguments: Any) -> StepPublisher:
    return StepPublisher(run_id="run", kafka=kafka, topics=topics, close_timeout_seconds=CLOSE_SECONDS, **arguments)


def assert_nothing_is_left(spool_dir: Path) -> None:
    assert list(folders(spool_dir)) == []


@pytest.mark.parametrize("fault", [FaultyBroker.refuse, FaultyBroker.pause, FaultyBroker.swallow])
def test_a_broker_that_is_away_at_first(
    front: FaultyBroker,
    kafka: KafkaSettings,
    topics: TopicSettings,
    spool_dir: Path,
    fault: Callable[[FaultyBroker], None],
) -> None:
    fault(front)
    with publisher(kafka, topics) as run:
        train(run, range(300), pause_seconds=0.005)
        wait_until(lambda: run.stats.waiting == 302)
        front.forward()
        train(run, range(300, 600))
    assert_all_arrived(kafka, topics, run, 600)
    assert_nothing_is_left(spool_dir)


@pytest.mark.parametrize("end", [FaultyBroker.cut, FaultyBroker.reset])
def test_connections_that_end(
    front: FaultyBroker,
    kafka: KafkaSettings,
    topics: TopicSettings,
    spool_dir: Path,
    end: Callable[[FaultyBroker], None],
) -> None:
    with publisher(kafka, topics) as run:
        for begin in range(0, 1_000, 50):
            train(run, range(begin, begin + 50), pause_seconds=0.002)
            end(front)
    assert_all_arrived(kafka, topics, run, 1_000)
    assert_nothing_is_left(spool_dir)


@pytest.mark.parametrize("fault", [FaultyBroker.refuse, FaultyBroker.pause])
def test_a_broker_that_is_away_meanwhile(
    front: FaultyBroker,
    kafka: KafkaSettings,
    topics: TopicSettings,
    spool_dir: Path,
    fault: Callable[[FaultyBroker], None],
) -> None:
    with publisher(kafka, topics) as run:
        train(run, range(500), pause_seconds=0.001)
        wait_until(lambda: run.stats.acknowledged > 0)
        fault(front)
        train(run, range(500, 1_000), pause_seconds=0.003)
        front.cut()
        train(run, range(1_000, 1_100))
        front.forward()
        train(run, range(1_100, 1_500))
    assert_all_arrived(kafka, topics, run, 1_500)
    assert_nothing_is_left(spool_dir)


def test_what_the_broker_has_and_could_not_say_is_not_sent_twice(
    front: FaultyBroker, kafka: KafkaSettings, topics: TopicSettings, spool_dir: Path
) -> None:
    with publisher(kafka, topics) as run:
        train(run, range(100), pause_seconds=0.001)
        wait_until(lambda: run.stats.acknowledged == 102)
        for begin in range(100, 500, 200):
            acknowledged = run.stats.acknowledged
            front.hold_answers()
            train(run, range(begin, begin + 200), pause_seconds=0.005)
            assert run.stats.acknowledged - acknowledged < 200, "the answers are held"
            front.reset()
            front.forward()
            wait_until(lambda behind=begin + 202: run.stats.acknowledged == behind)  # type: ignore[misc]
    assert_all_arrived(kafka, topics, run, 500)
    assert_nothing_is_left(spool_dir)


def test_there_may_be_no_hurry(kafka: KafkaSettings, topics: TopicSettings) -> None:
    run = publisher(kafka, topics)
    train(run, range(3))
    run.complete()
    assert run.close(math.inf)
    assert_all_arrived(kafka, topics, run, 3)


def test_a_slow_link(front: FaultyBroker, kafka: KafkaSettings, topics: TopicSettings, spool_dir: Path) -> None:
    front.bytes_per_second = 20_000
    with publisher(kafka, topics) as run:
        train(run, range(2_000))
    assert_all_arrived(kafka, topics, run, 2_000)
    assert_nothing_is_left(spool_dir)


def test_topics_that_are_made_later(kafka: KafkaSettings, spool_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    topics = TopicSettings(topic_prefix=f"late-{uuid.uuid4().hex[:8]}.", partitions=4)
    with publisher(kafka, topics) as run:
        train(run, range(200), pause_seconds=0.002)
        wait_until(lambda: "training goes on" in caplog.text)
        ensure_topics(kafka, topics)
    assert_all_arrived(kafka, topics, run, 200)
    assert_nothing_is_left(spool_dir)
    assert caplog.text.count("training goes on") == 1, "one line a minute"


def test_what_has_arrived_on_one_topic_is_not_sent_there_again_for_the_others_sake(
    kafka: KafkaSettings, spool_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    topics = TopicSettings(topic_prefix=f"half-{uuid.uuid4().hex[:8]}.", partitions=4)
    names = topic_names(topics)
    steps = [spec for spec in topic_specs(topics) if spec.topic == names.steps]
    admin = AdminClient(client_config(kafka))
    admin.create_topics(steps)[names.steps].result()
    with publisher(kafka, topics) as run:
        train(run, range(200), pause_seconds=0.002)
        wait_until(lambda: "training goes on" in caplog.text)
        train(run, range(200, 400), pause_seconds=0.02)
        ensure_topics(kafka, topics)
    assert_all_arrived(kafka, topics, run, 400)
    assert_nothing_is_left(spool_dir)


@pytest.mark.parametrize("fault", [FaultyBroker.refuse, FaultyBroker.pause, FaultyBroker.hold_answers])
def test_closing_keeps_to_its_timeout_while_events_are_on_their_way(
    front: FaultyBroker,
    kafka: KafkaSettings,
    topics: TopicSettings,
    spool_dir: Path,
    fault: Callable[[FaultyBroker], None],
) -> None:
    run = publisher(kafka, topics, attempt=1)
    train(run, range(100))
    wait_until(lambda: run.stats.acknowledged > 0)
    fault(front)
    train(run, range(100, 200))
    run.complete()
    began = time.monotonic()
    assert not run.close(1.0)
    assert time.monotonic() - began < 2.0
    assert run.stats.published == 204
    assert run.stats.waiting > 0
    assert len(list(folders(spool_dir))) == 1
    front.reset()
    front.forward()

    with publisher(kafka, topics, attempt=2) as after:
        train(after, range(10))
    steps = delivered(kafka, topics, "run").steps
    first, second = ([event for event in steps if event.attempt == attempt] for attempt in (1, 2))
    assert steps == first + second, "an older attempt goes before a newer one"
    # The broker may have what it could not acknowledge: who sends it again is another client, so there it is twice.
    assert list(dict.fromkeys(outline(first))) == whole(200)
    assert outline(second) == whole(10)
    assert_nothing_is_left(spool_dir)


@pytest.mark.parametrize("is_on_its_way", [False, True])
def test_a_broker_that_is_killed_and_comes_back_empty(spool_dir: Path, is_on_its_way: bool) -> None:
    behind, port = free_port(), free_port()
    kafka, topics = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{port}"), TopicSettings(partitions=4)
    process = start_broker(behind, advertised_port=port)
    with FaultyBroker(port, behind) as front:
        try:
            ensure_topics(kafka, topics)
            with publisher(kafka, topics) as run:
                train(run, range(200))
                wait_until(lambda: run.stats.acknowledged == 202)
                if is_on_its_way:
                    # The client has to send these again, and the new broker knows nothing of it.
                    front.hold_answers()
                train(run, range(200, 400), pause_seconds=0.001 if is_on_its_way else 0.0)
                before = run.stats.acknowledged
                process.kill()
                process.wait()
                front.cut()
                train(run, range(400, 600), pause_seconds=0.001)
                process = start_broker(behind, advertised_port=port)
                front.forward()
                ensure_topics(kafka, topics)
                train(run, range(600, 800), pause_seconds=0.001)
            steps = outline(delivered(kafka, topics, "run").steps)
        finally:
            stop(process)
    assert run.stats.acknowledged == run.stats.published == 804
    assert steps == whole(800)[-len(steps) :], "in order, each once, to the end"
    assert 201 <= 802 - len(steps) <= 402, "what the first broker had taken is lost with it"
    if is_on_its_way:
        assert before == 202
        assert len(steps) == 601
    assert_nothing_is_left(spool_dir)
