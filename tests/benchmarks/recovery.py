"""How long a worker takes until it judges again, by how many runs' states there are to be had again."""

import itertools
import math
import random
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from producers.codec import decode_signal, encode
from producers.events import StepEvent
from producers.kafka import KafkaSettings, producer_config, reader_config
from producers.metrics import LAG_RECORDS
from producers.topics import TopicSettings, ensure_topics, topic_names
from streakline.broker import running_broker
from streakline.processes import stop
from stream_app.engine.evaluate import evaluate
from stream_app.engine.state import RunState
from stream_app.engine.thresholds import ThresholdPolicy
from stream_app.records import VERSION, Latest, RunRecord, encode_record
from stream_app.settings import StreamSettings
from tests.benchmarks.archive import float32
from tests.benchmarks.resident import folder_bytes, processor_seconds
from tests.benchmarks.scale import events_of
from tests.worker import PROGRAM, Worker, wait_until
from tests.workload import Published

SIZES = (100, 1_000, 10_000, 50_000)
UPDATES = (1, 10)
"""states of each run that the changelog holds: 1 is one that was compacted to the last record"""
WINDOW = 20
"""steps of a run: its windows are full"""
PROBE_SECONDS = 0.1
STANDBY_PROGRAM = ("-m", "tests.benchmarks.standby_worker")
SESSION_SECONDS = 3
"""of `tests.worker.Worker`: a worker that is killed is missed after so long"""


def main() -> None:
    """Print both tables."""
    print("## Recovery: seconds until /readyz is ok, from the start of the process (seconds of the processor)")
    print("| runs | states on the changelog | empty data directory | data directory kept |")
    print("|---|---|---|---|")
    for runs, updates in [(runs, updates) for runs in SIZES for updates in UPDATES if runs * updates <= 100_000]:
        with _changelog(runs, updates) as (kafka, topics, folder):
            emptied, kept = _started(kafka, topics, folder), _started(kafka, topics, folder)
        print(f"| {runs:,} | {runs * updates:,} | {emptied} | {kept} |", flush=True)
    print()
    print(f"## Of two workers one is killed: the worst delay of a signal, s (session {SESSION_SECONDS} s)")
    print("| runs of the dead worker | standbys | of those | of runs that the other had |")
    print("|---|---|---|---|")
    for runs, (name, program) in itertools.product(SIZES, (("none", PROGRAM), ("one", STANDBY_PROGRAM))):
        with _changelog(0, 0) as (kafka, topics, folder):
            taken, own = _taken_over(kafka, topics, folder, program, runs)
        print(f"| {runs:,} | {name} | {taken:.1f} | {own:.1f} |", flush=True)


@contextmanager
def _changelog(runs: int, updates: int) -> Iterator[tuple[KafkaSettings, TopicSettings, Path]]:
    """A broker whose changelog holds as many states of as many runs as a worker would have written."""
    with tempfile.TemporaryDirectory() as folder, running_broker() as bootstrap:
        kafka, topics = KafkaSettings(kafka_bootstrap=bootstrap), TopicSettings()
        ensure_topics(kafka, topics)
        _fill(kafka, topics, range(topics.partitions), _states(runs, updates))
        yield kafka, topics, Path(folder)


def _fill(kafka: KafkaSettings, topics: TopicSettings, partitions: Sequence[int], states: Iterable[Published]) -> None:
    """Put the states into these partitions of the changelog in turns, whichever their runs would be in."""
    producer = Producer(producer_config(kafka))
    for state, partition in zip(states, itertools.cycle(partitions), strict=False):
        while True:
            try:
                producer.produce(topic_names(topics).state_changelog, state.value, state.key, partition)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0


def _states(runs: int, updates: int) -> Iterator[Published]:
    """What the engine makes of a run, with other figures in each: else they would compress to nothing."""
    rng, state = random.Random(0), RunState()
    for event in events_of(range(WINDOW), 1):
        state = evaluate(state, event, ThresholdPolicy()).state
    for step, run in itertools.product(range(updates), range(runs)):
        losses, max_grads = ([float32(rng.uniform(0.5, 3.0)) for _ in range(WINDOW)] for _ in range(2))
        own = replace(state, last_step=WINDOW + step, losses=tuple(losses), max_grads=tuple(max_grads))
        record = RunRecord(VERSION, own, time.time(), Latest(time.time(), losses[-1], max_grads[-1]))
        yield Published(f"team/fine-tune-{run:06}".encode(), encode_record(record))


def _started(kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> str:
    began = time.monotonic()
    worker = Worker(kafka, topics, folder / "data", StreamSettings(per_run_metrics="none"))
    try:
        wait_until(lambda: _is_ready(worker), worker, 300)
        return f"{time.monotonic() - began:.1f} ({processor_seconds(worker.process.pid):.1f})"
    finally:
        stop(worker.process)


def _is_ready(worker: Worker) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.metrics_port}/readyz", timeout=5):
            return True
    except OSError:
        return False


def _taken_over(
    kafka: KafkaSettings, topics: TopicSettings, folder: Path, program: Sequence[str], runs: int
) -> tuple[float, float]:
    """The worst delay in seconds of runs that were the dead worker's, and of those that were not.

    The states come once both are there: the first to come has had all partitions, and would have kept them.
    """
    settings = StreamSettings(per_run_metrics="none")
    survivor = Worker(kafka, topics, folder / "survivor", settings, program)
    try:
        wait_until(lambda: _is_ready(survivor), survivor, 300)
        # The second to come: with the group's leader Tansu loses the group for a while.
        dying = Worker(kafka, topics, folder / "dying", settings, program)
        try:
            wait_until(lambda: _is_ready(survivor) and _is_ready(dying), dying, 300)
            own = _partitions(survivor)
            _fill(kafka, topics, sorted(_partitions(dying)), _states(runs, 1))
            _wait_until_quiet(folder)
            with Probes(kafka, topics) as probes:
                dying.kill()
                wait_until(lambda: probes.answered() == topics.partitions, survivor, 300)
        finally:
            stop(dying.process)
    finally:
        stop(survivor.process)
    worst = probes.worst_seconds()
    return max(worst[each] for each in worst if each not in own), max(worst[each] for each in own)


def _partitions(worker: Worker) -> set[int]:
    """Those it judges."""
    families = text_string_to_metric_families(worker.exposed())
    lags = [sample for family in families for sample in family.samples if sample.name == LAG_RECORDS.name]
    return {int(lag.labels["partition"]) for lag in lags}


def _wait_until_quiet(folder: Path) -> None:
    """Standby tables say nowhere that they have caught up."""
    sizes = [-1]
    while sizes[-1] != folder_bytes(folder):
        sizes.append(folder_bytes(folder))
        time.sleep(2)


class Probes:
    """Steps that fire at once, one in each partition every `PROBE_SECONDS`, and when their signals came."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings) -> None:
        names = topic_names(topics)
        self._steps, self._partitions = names.steps, range(topics.partitions)
        self._producer = Producer(producer_config(kafka))
        self._consumer = Consumer(reader_config(kafka))
        self._consumer.assign([TopicPartition(names.signals, each, OFFSET_BEGINNING) for each in self._partitions])
        self._sent: dict[str, float] = {}
        self._delays: dict[str, float] = {}
        self._stopped = threading.Event()
        self._threads = threading.Thread(target=self._send), threading.Thread(target=self._hear)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._consumer.close()

    def answered(self) -> int:
        """Partitions of which at least one probe has been judged."""
        return len({_partition(run_id) for run_id in list(self._delays)})

    def worst_seconds(self) -> dict[int, float]:
        """Partition → the longest that one of its probes took. Once they are over."""
        worst = dict.fromkeys(self._partitions, 0.0)
        for run_id, seconds in self._delays.items():
            worst[_partition(run_id)] = max(worst[_partition(run_id)], seconds)
        return worst

    def _send(self) -> None:
        for number in itertools.count():
            for partition in self._partitions:
                event = StepEvent(run_id=f"probe/{partition}/{number}", step=0, ts=time.time(), loss=math.nan)
                self._sent[event.run_id] = time.monotonic()
                self._producer.produce(self._steps, encode(event), key=event.run_id, partition=partition)
            self._producer.flush(10)
            if self._stopped.wait(PROBE_SECONDS):
                return

    def _hear(self) -> None:
        """Until every probe has its signal."""
        deadline = math.inf
        while len(self._delays) < len(self._sent) or not self._stopped.is_set():
            message = self._consumer.poll(0.05)
            if message is not None and message.error() is None:
                run_id = decode_signal(message.value() or b"").run_id
                self._delays.setdefault(run_id, time.monotonic() - self._sent[run_id])
            if self._stopped.is_set():
                deadline = min(deadline, time.monotonic() + 60)
                assert time.monotonic() < deadline, "probes are lost"


def _partition(run_id: str) -> int:
    return int(run_id.split("/")[1])
