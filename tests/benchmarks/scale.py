"""Whether a run costs the same beside a hundred others and beside ten thousand: one real worker on a real broker."""

import random
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from producers.codec import encode
from producers.events import StepEvent
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, ensure_topics, topic_names
from streakline.broker import running_broker
from streakline.processes import stop
from stream_app.settings import StreamSettings
from tests.benchmarks.archive import float32
from tests.benchmarks.resident import folder_bytes, processor_seconds, resident_bytes
from tests.benchmarks.topic_bytes import topic_bytes
from tests.committed import committed
from tests.publishing import publish
from tests.worker import Worker, wait_until
from tests.workload import Published

FLEETS = (100, 1_000, 10_000)
EVENTS = 200_000
"""of every fleet: the fewer runs, the longer they are"""
ROUNDS = 3
LAYERS = 24
WARM_SHARE = 1 / 3
"""of the events come before anything is timed: the windows of every run are full by then, almost"""
PACED_EVENTS_PER_SECOND = 500
PACED_EVENTS = 10_000
QUIET_SECONDS = 10
ALONE, ALONE_PER_SECOND = 500, 50

_NORMS = 64
"""different sets of gradient norms that the events are made of"""


class Cost(Struct, frozen=True):
    """What one fleet took."""

    events_per_second: float
    backlog_us: float
    """of the processor, an event of a backlog"""
    paced_us: float
    """of the processor, an event while they come one by one, a few runs in each batch"""
    resident_mib: float
    rocksdb_mib: float
    """of files, after a clean stop"""
    state_bytes: float
    """key and value of a run's latest state"""
    changes_per_event: float
    """states written to the changelog"""
    change_bytes: float
    """of the changelog on the broker, a state: compressed with the others of a full batch"""
    paced_change_bytes: float
    """the same while events come one by one"""
    scrape_bytes: float
    """a run"""
    scrape_ms: float


_ROWS = (
    ("events/s of a backlog", "events_per_second", ",.0f"),
    ("µs of the processor, an event of a backlog", "backlog_us", ",.0f"),
    (f"µs, an event at {PACED_EVENTS_PER_SECOND} events/s", "paced_us", ",.0f"),
    ("memory of the worker, MiB", "resident_mib", ",.0f"),
    ("files of RocksDB after a clean stop, MiB", "rocksdb_mib", ",.0f"),
    ("state of a run, bytes", "state_bytes", ",.0f"),
    ("states written, an event of the backlog", "changes_per_event", ".2f"),
    ("changelog on the broker, bytes a state of a backlog", "change_bytes", ",.0f"),
    (f"the same at {PACED_EVENTS_PER_SECOND} events/s", "paced_change_bytes", ",.0f"),
    ("scrape, bytes a run", "scrape_bytes", ",.0f"),
    ("scrape, ms", "scrape_ms", ",.0f"),
)


def main() -> None:
    """Print a table, a fleet a column: the median of the rounds, lowest to highest."""
    print(f"a step on the broker, alone in its batch: {_step_bytes():,.0f} bytes")
    print(f"## {EVENTS:,} events of {LAYERS} layers, by the number of runs they are of; median of {ROUNDS} (range)")
    costs: dict[int, list[Cost]] = {runs: [] for runs in FLEETS}
    for _ in range(ROUNDS):
        for runs in FLEETS:
            costs[runs].append(_cost(runs))
            print(f"{runs:,} runs: {costs[runs][-1]}", flush=True)
    print("| | " + " | ".join(f"{runs:,} runs" for runs in FLEETS) + " |")
    print("|---|" + "---|" * len(FLEETS))
    for title, name, form in _ROWS:
        cells = (_cell([getattr(cost, name) for cost in costs[runs]], form) for runs in FLEETS)
        print(f"| {title} | " + " | ".join(cells) + " |")


def _cell(figures: list[float], form: str) -> str:
    low, middle, high = (format(value, form) for value in (min(figures), statistics.median(figures), max(figures)))
    return middle if low == high else f"{middle} ({low} to {high})"


def _cost(runs: int) -> Cost:
    settings, topics = StreamSettings(), TopicSettings()
    changelog = topic_names(topics).state_changelog
    with tempfile.TemporaryDirectory() as name, running_broker() as bootstrap:
        folder, kafka = Path(name), KafkaSettings(kafka_bootstrap=bootstrap)
        ensure_topics(kafka, topics)
        count = publish(kafka, topics, _records(range(EVENTS), runs))
        worker = Worker(kafka, topics, folder / "data", settings)
        try:
            start, end = _backlog(kafka, topics, worker, count)
            seconds, events, processor = (after - before for before, after in zip(start, end, strict=True))
            resident = resident_bytes(worker.process.pid)
            changes = topic_bytes(kafka, changelog, topics.partitions)
            paced = _paced(kafka, topics, worker, runs)
            later = topic_bytes(kafka, changelog, topics.partitions)
            text, scrape_ms = _scraped(worker)
        finally:
            stop(worker.process)
        files = folder_bytes(folder / "data")
    assert changes.keys == runs
    return Cost(
        events_per_second=events / seconds,
        backlog_us=1e6 * processor / events,
        paced_us=paced,
        resident_mib=resident / 2**20,
        rocksdb_mib=files / 2**20,
        state_bytes=changes.latest_bytes / runs,
        changes_per_event=changes.records / count,
        change_bytes=changes.received_bytes / changes.records,
        paced_change_bytes=(later.received_bytes - changes.received_bytes) / (later.records - changes.records),
        scrape_bytes=len(text) / runs,
        scrape_ms=scrape_ms,
    )


def _step_bytes() -> float:
    """On the broker, an event of one trainer: nothing is in its batch to compress it with."""
    topics = TopicSettings(partitions=1)
    with running_broker() as bootstrap:
        kafka = KafkaSettings(kafka_bootstrap=bootstrap)
        ensure_topics(kafka, topics)
        sent = publish(kafka, topics, _at_a_pace(_records(range(ALONE), 1), ALONE_PER_SECOND))
        return topic_bytes(kafka, topic_names(topics).steps, topics.partitions).received_bytes / sent


def _backlog(
    kafka: KafkaSettings, topics: TopicSettings, worker: Worker, count: int
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """(moment, events judged, seconds of the processor) once it is warm, and at the end."""
    marks = []

    def mark() -> bool:
        judged = sum(committed(kafka, topics).values())
        marks.append((time.monotonic(), float(judged), processor_seconds(worker.process.pid)))
        return judged >= count

    wait_until(mark, worker, 900)
    return next(each for each in marks if each[1] >= count * WARM_SHARE), marks[-1]


def _paced(kafka: KafkaSettings, topics: TopicSettings, worker: Worker, runs: int) -> float:
    """Microseconds of the processor an event, while events come at a steady pace; less what a quiet worker takes."""
    began, before = time.monotonic(), processor_seconds(worker.process.pid)
    time.sleep(QUIET_SECONDS)
    quiet = (processor_seconds(worker.process.pid) - before) / (time.monotonic() - began)
    began, before = time.monotonic(), processor_seconds(worker.process.pid)
    sent = publish(
        kafka, topics, _at_a_pace(_records(range(EVENTS, EVENTS + PACED_EVENTS), runs), PACED_EVENTS_PER_SECOND)
    )
    wait_until(lambda: sum(committed(kafka, topics).values()) >= EVENTS + sent, worker)
    seconds = time.monotonic() - began
    return 1e6 * (processor_seconds(worker.process.pid) - before - quiet * seconds) / sent


def _at_a_pace(records: Iterable[Published], per_second: float) -> Iterator[Published]:
    began = time.monotonic()
    for number, record in enumerate(records):
        time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        yield record


def _scraped(worker: Worker) -> tuple[str, float]:
    """What a scrape gives, and milliseconds of the processor that one takes."""
    text, before = "", processor_seconds(worker.process.pid)
    for _ in range(10):
        text = worker.exposed()
    return text, 1e3 * (processor_seconds(worker.process.pid) - before) / 10


def _records(numbers: range, runs: int) -> Iterator[Published]:
    return (Published(event.run_id.encode(), encode(event)) for event in events_of(numbers, runs))


def events_of(numbers: range, runs: int) -> Iterator[StepEvent]:
    """Of healthy runs that step in turns: each batch has as many runs in it as it can have.

    Figures were 32-bit floats, as a trainer's are, and are all different: else states would compress too well.
    """
    rng = random.Random(numbers.start)
    names = [f"layers.{layer}.mlp" for layer in range(LAYERS)]
    norms: list[dict[str, float | None]] = [
        {name: float32(rng.lognormvariate(-1.0, 0.5)) for name in names} for _ in range(_NORMS)
    ]
    for number in numbers:
        step, run = divmod(number, runs)
        yield StepEvent(
            run_id=f"team/fine-tune-{run:06}",
            step=step,
            ts=time.time(),
            loss=float32(2.0 + rng.random()),
            max_grad=float32(rng.uniform(0.5, 1.0)),
            grad_norms=norms[number % _NORMS],
        )
