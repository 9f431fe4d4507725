"""One stream worker against a real broker: events a second, and how long a signal takes."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from producers.codec import decode_signal, encode
from producers.events import StepEvent
from producers.kafka import KafkaSettings, producer_config, reader_config
from producers.topics import TopicSettings, ensure_topics, topic_names
from streakline.broker import running_broker
from tests.publishing import publish
from tests.worker import Worker, running_worker
from tests.workload import fleet

ROUNDS = 3
RUNS = 64
STEPS = 1_500
LAYERS = 24

EVENTS_PER_SECOND = 100
LATENCY_SECONDS = 20


def main() -> None:
    """Print both figures."""
    print("## One stream worker, broker and bench on the same machine")
    rates = [throughput().events_a_second for _ in range(ROUNDS)]
    print(
        f"throughput at {LAYERS} layers, {RUNS} runs, {RUNS * STEPS:,} events waiting: "
        f"median {median(rates):,.0f} events/s of {ROUNDS} (lowest {min(rates):,.0f}, highest {max(rates):,.0f})"
    )
    latencies = sorted(_latencies())
    p50, p95 = quantiles(latencies, n=100)[49], quantiles(latencies, n=100)[94]
    print(
        f"event to signal at {EVENTS_PER_SECOND} events/s: p50 {1e3 * p50:.0f} ms, p95 {1e3 * p95:.0f} ms, "
        f"highest {1e3 * latencies[-1]:.0f} ms of {len(latencies)} signals"
    )


@contextlib.contextmanager
def _stack() -> Iterator[tuple[KafkaSettings, TopicSettings, Path]]:
    """A broker of its own, with topics, and a folder for the worker."""
    with tempfile.TemporaryDirectory() as folder, running_broker() as bootstrap:
        kafka, topics = KafkaSettings(kafka_bootstrap=bootstrap), TopicSettings()
        ensure_topics(kafka, topics)
        yield kafka, topics, Path(folder)


class Throughput(NamedTuple):
    """From the first tenth of a backlog to its end."""

    events_a_second: float
    microseconds: float
    """of the worker's processor an event: it depends less on what else the machine does"""


def throughput(runs: int = RUNS, steps: int = STEPS, redis_url: str | None = None) -> Throughput:
    """What a worker does; it shows live runs where there is a Redis."""
    with _stack() as (kafka, topics, folder):
        count = publish(kafka, topics, fleet(runs, steps, LAYERS))
        with running_worker(kafka, topics, folder / "data", redis_url=redis_url) as worker:
            marks = list(_marks(worker, count))
    start = next(mark for mark in marks if mark[1] >= count / 10)
    moment, taken, processor = (end - begin for begin, end in zip(start, marks[-1], strict=True))
    return Throughput(taken / moment, 1e6 * processor / taken)


def _marks(worker: Worker, count: int) -> Iterator[tuple[float, float, float]]:
    """(moment, events taken, seconds of the processor) a few times a second until `count` are taken."""
    taken, deadline = 0.0, time.monotonic() + 120
    while taken < count and time.monotonic() < deadline:
        taken = worker.events()
        yield time.monotonic(), taken, worker.counter("process_cpu_seconds_total")
        time.sleep(0.2)


def _latencies() -> Iterator[float]:
    """Seconds from the moment a trainer hands an event to its client until a reader has the signal.

    One event in ten fires: the first of a run, with a loss that is NaN.
    """
    with _stack() as (kafka, topics, folder), running_worker(kafka, topics, folder / "data") as worker:
        worker.wait_until_ready()
        names = topic_names(topics)
        consumer = Consumer(reader_config(kafka))
        consumer.assign([TopicPartition(names.signals, each, OFFSET_BEGINNING) for each in range(topics.partitions)])
        producer = Producer(producer_config(kafka))
        sent: dict[str, float] = {}
        began = time.monotonic()
        for index in range(EVENTS_PER_SECOND * LATENCY_SECONDS):
            due = began + index / EVENTS_PER_SECOND
            while (left := due - time.monotonic()) > 0:
                yield from _arrivals(consumer, sent, left)
            fires = index % 10 == 0
            run_id = f"fires-{index}" if fires else f"calm-{index % 10}"
            norms: dict[str, float | None] = {f"layers.{layer}.mlp": 0.5 for layer in range(LAYERS)}
            loss = float("nan") if fires else 1.0 + index % 7
            event = StepEvent(run_id=run_id, step=index, ts=time.time(), loss=loss, grad_norms=norms)
            sent[run_id] = time.monotonic()
            producer.produce(names.steps, encode(event), key=run_id)
            producer.poll(0)
        producer.flush(10)
        yield from _arrivals(consumer, sent, 2.0)
        consumer.close()


def _arrivals(consumer: Consumer, sent: dict[str, float], seconds: float) -> Iterator[float]:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        message = consumer.poll(left)
        if message is not None and message.error() is None:
            yield time.monotonic() - sent[decode_signal(message.value() or b"").run_id]
