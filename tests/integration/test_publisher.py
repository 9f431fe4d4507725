"""What a trainer publishes is on the topics, in order, from its start to its end."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from producers.codec import decode
from producers.events import RunCompleted, RunFailed, RunStarted, StepEvent, TrainerEvent
from producers.gradients.norms import Measured
from producers.kafka import KafkaSettings, reader_config
from producers.publisher import StepPublisher
from producers.tally import PublisherStats
from producers.topics import TopicSettings, topic_names


def records(kafka: KafkaSettings, topic: str, partitions: int) -> Iterator[tuple[bytes | None, TrainerEvent]]:
    """Key and event of every record, each partition in order."""
    consumer = Consumer(reader_config(kafka))
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
        unfinished = partitions
        while unfinished:
            message = consumer.poll(10)
            assert message is not None, "the broker gave no answer"
            error = message.error()
            if error is None:
                yield message.key(), decode(message.value() or b"")
            else:
                assert error.code() == KafkaError._PARTITION_EOF
                unfinished -= 1
    finally:
        consumer.close()


class Read:
    """Both of a test's topics."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings) -> None:
        names = topic_names(topics)
        self.steps = list(records(kafka, names.steps, topics.partitions))
        self.runs = list(records(kafka, names.runs, topics.partitions))


def publisher(kafka: KafkaSettings, topics: TopicSettings, **arguments: Any) -> StepPublisher:
    return StepPublisher(**{"run_id": "sft/7"} | arguments, kafka=kafka, topics=topics)


def test_a_run_from_start_to_end(kafka: KafkaSettings, topics: TopicSettings) -> None:
    before = int(time.time())
    with publisher(
        kafka,
        topics,
        project="assistant",
        base_model=Path("/models/base"),
        early_stop=["loss_plateau"],
        config={"lr": 3e-4, "optimizer": "adamw"},
    ) as run:
        for step in range(500):
            measured = Measured(2.0, {"layers.0.self_attn": 2.0, "layers.0.mlp": float("nan")})
            run.step(step, 5.0 / (1 + step), learning_rate=1e-3, gradients=measured, epoch=step / 100)
        run.complete(checkpoint=Path("/runs/sft-7"), eval_set="/evals/a.jsonl", saes=["/saes/1"])

    assert run.stats == PublisherStats(published=504, acknowledged=504, failed=0, dropped=0)
    assert before <= run.attempt <= time.time()
    read = Read(kafka, topics)
    assert {key for key, _ in read.steps + read.runs} == {b"sft/7"}
    started, *steps, completed = [event for _, event in read.steps]
    assert [event for _, event in read.runs] == [started, completed]
    assert isinstance(started, RunStarted)
    assert started == RunStarted(
        run_id="sft/7",
        ts=started.ts,
        attempt=run.attempt,
        project="assistant",
        base_model="/models/base",
        early_stop=("loss_plateau",),
        config={"lr": "0.0003", "optimizer": "adamw"},
    )
    assert completed == RunCompleted(
        run_id="sft/7",
        ts=completed.ts,
        attempt=run.attempt,
        project="assistant",
        base_model="/models/base",
        steps=500,
        checkpoint="/runs/sft-7",
        eval_set="/evals/a.jsonl",
        saes=("/saes/1",),
    )
    assert [event.step for event in steps if isinstance(event, StepEvent)] == list(range(500))
    first = steps[0]
    assert isinstance(first, StepEvent)
    assert (first.loss, first.learning_rate, first.max_grad, first.epoch) == (5.0, 1e-3, 2.0, 0.0)
    assert str(first.grad_norms) == "{'layers.0.self_attn': 2.0, 'layers.0.mlp': nan}"
    assert before <= started.ts <= first.ts <= completed.ts <= time.time()


def test_norms_measured_otherwise_go_before(kafka: KafkaSettings, topics: TopicSettings) -> None:
    with publisher(kafka, topics) as run:
        run.step(0, 1.0, gradients=Measured(1.0, {"a": 1.0}), max_grad=3.0, grad_norms={"b": 2, "c": None})
        run.step(1, 1.0, dead_layers=["d"])
    _, first, second, _ = [event for _, event in Read(kafka, topics).steps]
    assert isinstance(first, StepEvent)
    assert (first.max_grad, first.grad_norms) == (3.0, {"b": 2.0, "c": None})
    assert isinstance(second, StepEvent)
    assert (second.max_grad, second.grad_norms, second.dead_layers) == (None, None, ["d"])


def test_an_exception_fails_the_run_and_goes_on(kafka: KafkaSettings, topics: TopicSettings) -> None:
    run = publisher(kafka, topics, project="p")

    def train() -> None:
        with run:
            run.step(0, 1.0)
            raise FloatingPointError("loss is \udcff" + "x" * 70_000)

    with pytest.raises(FloatingPointError, match="loss is"):
        train()
    read = Read(kafka, topics)
    failed = read.runs[-1][1]
    assert isinstance(failed, RunFailed)
    assert failed.error.startswith("FloatingPointError: loss is ?xxx")
    assert (failed.attempt, failed.project) == (run.attempt, "p")
    assert [type(event) for _, event in read.steps] == [RunStarted, StepEvent, RunFailed]
    assert read.steps[-1][1] == failed


def test_an_exception_after_the_end_changes_nothing(kafka: KafkaSettings, topics: TopicSettings) -> None:
    def train() -> None:
        with publisher(kafka, topics) as run:
            run.complete(steps=7)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    _, completed = Read(kafka, topics).runs[-1]
    assert isinstance(completed, RunCompleted)
    assert completed.steps == 7


def test_without_the_block_the_caller_ends_the_run(kafka: KafkaSettings, topics: TopicSettings) -> None:
    run = publisher(kafka, topics, attempt=3)
    run.step(0, 1.0)
    run.fail("out of memory")
    assert run.close(10)
    events = [event for _, event in Read(kafka, topics).steps]
    assert [event.attempt for event in events] == [3, 3, 3]
    assert isinstance(events[-1], RunFailed)
    assert events[-1].error == "out of memory"


def test_the_largest_event_there_is_arrives(kafka: KafkaSettings, topics: TopicSettings) -> None:
    norms = {f"{index:05d}{'x' * 90}": 1.0 for index in range(10_270)}
    with publisher(kafka, topics) as run:
        run.step(0, 1.0, grad_norms=norms)
    assert run.stats.acknowledged == 5
    assert run.stats.dropped == 0
    assert any(isinstance(event, StepEvent) and event.grad_norms == norms for _, event in Read(kafka, topics).steps)
