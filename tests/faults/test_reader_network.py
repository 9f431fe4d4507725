"""Whatever the network does to those who read: what they say is whole and true, or they say that they cannot."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen

import msgspec
from confluent_kafka import Producer
from msgspec.structs import replace

from producers.codec import encode
from producers.events import RunStarted, Signal
from producers.examples import VALID
from producers.kafka import KafkaSettings, producer_config
from producers.publisher import StepPublisher
from producers.topics import TopicSettings, ensure_topics, partition_counts, topic_names, topic_specs
from tests.commands import settings_environ, start, streakline
from tests.faults.load import DELIVERED_WITHIN_SECONDS
from tests.faults.network import ANSWERS_LOST, CUT, CUT_EVERY_SECOND, RESET, Fault, faults
from tests.faulty_broker import FaultyBroker
from tests.publishing import publish_to
from tests.worker import wait_until
from tests.workload import Published


@contextmanager
def beside(fault: Fault, front: FaultyBroker) -> Iterator[threading.Thread]:
    """The fault strikes while the block runs, which ends when it is over."""
    thread = threading.Thread(target=fault.strike, args=(front,))
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


def signals(run_id: str, attempt: int, steps: range) -> list[Signal]:
    example = VALID["signal"]
    assert isinstance(example, Signal)
    asks = replace(example, run_id=run_id, attempt=attempt, type="loss_plateau", action="stop")
    return [replace(asks, step=step, signal_id=f"{run_id}/{attempt}/{step}/loss_plateau") for step in steps]


def send(producer: Producer, topic: str, some: list[Signal]) -> None:
    for signal in some:
        producer.produce(topic, encode(signal), signal.run_id.encode())


@faults(ANSWERS_LOST)
def test_a_signal_that_comes_meanwhile_still_stops_the_training(
    front: FaultyBroker, kafka: KafkaSettings, topics: TopicSettings, fault: Fault
) -> None:
    names = topic_names(topics)
    with StepPublisher(
        run_id="sft/7", attempt=5, early_stop=["loss_plateau"], kafka=kafka, topics=topics, close_timeout_seconds=60
    ) as run:
        # It hears others by now.
        producer = Producer(producer_config(kafka))
        send(producer, names.signals, signals("sft/7", 4, range(3)))
        assert producer.flush(DELIVERED_WITHIN_SECONDS) == 0
        wait_until(lambda: run.stats.acknowledged == 2)
        asks = signals("sft/7", 5, range(9, 10))
        with beside(fault, front):
            send(producer, names.signals, asks)
            producer.poll(1.0)
        assert producer.flush(DELIVERED_WITHIN_SECONDS) == 0
        wait_until(lambda: run.should_stop is not None, timeout_seconds=120)
        assert run.should_stop == asks[0]


def printed(process: "Popen[bytes]", into: Counter[int]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        into[msgspec.json.decode(line, type=Signal).step] += 1


@faults(CUT_EVERY_SECOND)
def test_who_follows_signals_sees_each_once_or_is_told_that_no_more_come(
    front: FaultyBroker, kafka: KafkaSettings, topics: TopicSettings, fault: Fault
) -> None:
    names, seen = topic_names(topics), Counter[int]()
    producer = Producer(producer_config(kafka))
    send(producer, names.signals, signals("run", 1, range(10)))
    assert producer.flush(DELIVERED_WITHIN_SECONDS) == 0
    with start("signals", "--follow", "--json", environ=settings_environ(kafka, topics)) as process:
        reading = threading.Thread(target=printed, args=(process, seen))
        reading.start()
        wait_until(lambda: len(seen) == 10)
        with beside(fault, front):
            send(producer, names.signals, signals("run", 1, range(10, 20)))
            producer.poll(1.0)
        send(producer, names.signals, signals("run", 1, range(20, 30)))
        assert producer.flush(DELIVERED_WITHIN_SECONDS) == 0
        wait_until(lambda: process.poll() is not None or len(seen) == 30, timeout_seconds=120)
        if process.poll() is None:
            process.kill()
        else:
            assert fault not in {CUT, RESET, CUT_EVERY_SECOND}, "the broker was there all the time"
            assert process.stderr is not None
            assert b"no answer from the broker at" in process.stderr.read()
            assert process.returncode == 3
        reading.join()
    assert set(seen.values()) == {1}


@faults(CUT_EVERY_SECOND)
def test_a_list_of_runs_is_whole_or_is_none(
    front: FaultyBroker, kafka: KafkaSettings, topics: TopicSettings, fault: Fault
) -> None:
    environ = settings_environ(kafka, topics)
    started = [RunStarted(run_id=f"run-{number}", ts=1.0) for number in range(200)]
    records = [Published(each.run_id.encode(), encode(each)) for each in started]
    publish_to(kafka, topic_names(topics).runs, records)
    with beside(fault, front) as striking:
        asked = 0
        while striking.is_alive() or not asked:
            ended, asked = streakline("runs", "--json", environ=environ), asked + 1
            assert (ended.code, len(ended.lines)) == (0, 200) or (
                ended.code == 3 and "no answer from the broker at" in ended.err
            ), ended
    wait_until(lambda: len(streakline("runs", "--json", environ=environ).lines) == 200, timeout_seconds=120)


@faults(CUT_EVERY_SECOND)
def test_topics_that_could_not_all_be_made_are_made_when_asked_again(
    front: FaultyBroker, kafka: KafkaSettings, fault: Fault
) -> None:
    prefix = f"made-{uuid.uuid4().hex[:8]}."
    settings = TopicSettings(topic_prefix=prefix, partitions=2)
    environ = settings_environ(kafka, settings)
    with beside(fault, front) as striking:
        asked = 0
        while striking.is_alive() or not asked:
            ended, asked = streakline("topics", "ensure", environ=environ), asked + 1
            assert ended.code == 0 or ended.err.count("\n") == 1, ended
    wait_until(lambda: streakline("topics", "ensure", environ=environ).code == 0, timeout_seconds=120)
    counts = partition_counts(kafka)
    assert {spec.topic: counts.get(spec.topic) for spec in topic_specs(settings)} == {
        spec.topic: 2 for spec in topic_specs(settings)
    }
    assert ensure_topics(kafka, settings) == []
