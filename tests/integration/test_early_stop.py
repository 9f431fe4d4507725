"""A run that asked for it hears the signal that says stop, and nobody else's."""

import time
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from msgspec.structs import replace

from producers.codec import encode
from producers.events import Signal
from producers.examples import VALID
from producers.kafka import KafkaSettings, producer_config
from producers.partitioner import partition_of
from producers.publisher import StepPublisher
from producers.reader import read_topic
from producers.topics import TopicSettings, ensure_topics, topic_names
from streakline.broker import start_broker
from streakline.processes import free_port, stop
from tests.worker import running_worker, wait_until


def signal_for(run: StepPublisher, **changes: Any) -> Signal:
    example = VALID["signal"]
    assert isinstance(example, Signal)
    asks = replace(example, run_id=run.run_id, attempt=run.attempt, type="loss_plateau", action="stop")
    return replace(asks, **changes)


def send(kafka: KafkaSettings, topics: TopicSettings, *signals: Signal | bytes) -> None:
    producer = Producer(producer_config(kafka))
    for signal in signals:
        raw, key = (signal, b"sft/7") if isinstance(signal, bytes) else (encode(signal), signal.run_id.encode())
        producer.produce(topic_names(topics).signals, raw, key=key)
    assert producer.flush(10) == 0


def test_a_keys_partition_is_where_the_client_puts_it(kafka: KafkaSettings, topics: TopicSettings) -> None:
    names = topic_names(topics)
    keys = [f"{'run/' * (number % 5)}{number}".encode() for number in range(200)]
    producer = Producer(producer_config(kafka))
    for key in keys:
        producer.produce(names.signals, b"{}", key=key)
    assert producer.flush(10) == 0
    found = {message.key(): message.partition() for message in read_topic(kafka, names.signals)}
    assert found == {key: partition_of(key, topics.partitions) for key in keys}
    assert len(set(found.values())) == topics.partitions


def test_only_the_signal_that_asks_this_attempt_to_stop_does(kafka: KafkaSettings, topics: TopicSettings) -> None:
    run = StepPublisher(run_id="sft/7", attempt=5, early_stop=["loss_plateau"], kafka=kafka, topics=topics)
    others: list[Signal | bytes] = [
        signal_for(run, action=None),
        signal_for(run, attempt=4),
        signal_for(run, run_id="sft/8"),
        b"no signal",
    ]
    asks = signal_for(run, step=9)
    send(kafka, topics, *others, asks, signal_for(run, step=10))
    wait_until(lambda: run.should_stop is not None)
    assert run.should_stop == asks
    assert run.should_stop_on_any_rank()
    run.close()
    assert run.should_stop == asks


def test_a_run_that_did_not_ask_does_not_listen(kafka: KafkaSettings, topics: TopicSettings) -> None:
    with (
        StepPublisher(run_id="sft/7", attempt=5, kafka=kafka, topics=topics) as deaf,
        StepPublisher(run_id="sft/7", attempt=5, early_stop=["loss_plateau"], kafka=kafka, topics=topics) as hears,
    ):
        send(kafka, topics, signal_for(deaf))
        wait_until(lambda: hears.should_stop is not None)
        assert deaf.should_stop is None
        assert not deaf.should_stop_on_any_rank()


def test_a_broker_that_comes_later_is_heard_too(topics: TopicSettings) -> None:
    port = free_port()
    kafka = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{port}")
    run = StepPublisher(run_id="sft/7", early_stop=["loss_plateau"], kafka=kafka, topics=topics)
    time.sleep(1.0)  # It has tried, in vain.
    broker = start_broker(port)
    try:
        ensure_topics(kafka, topics)
        send(kafka, topics, signal_for(run))
        wait_until(lambda: run.should_stop is not None)
        run.close()
    finally:
        stop(broker)


def test_a_run_is_stopped_by_what_the_stream_worker_says(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    with (
        running_worker(kafka, topics, tmp_path / "data") as worker,
        StepPublisher(run_id="plateau", early_stop=["loss_plateau"], kafka=kafka, topics=topics) as run,
    ):
        worker.wait_until_ready()
        step = 0
        while run.should_stop is None and step < 5_000:
            run.step(step, 1.0)
            step += 1
            time.sleep(0.01)
        assert run.should_stop is not None
        assert (run.should_stop.type, run.should_stop.step) == ("loss_plateau", 19)
