"""Publishing a run's steps as a loop does, and what of it has come to the topics."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from producers.codec import decode
from producers.events import StepEvent, TrainerEvent
from producers.kafka import KafkaSettings
from producers.publisher import StepPublisher
from producers.reader import read_topic
from producers.spool.record import unpack
from producers.tally import PublisherStats
from producers.topics import TopicSettings, topic_names

MAX_STEP_SECONDS = 1.0
"""no `step` takes longer, on a machine that is busy with much else: all faults here last longer"""


class Delivered(Struct, frozen=True):
    """The events on both topics."""

    steps: list[TrainerEvent]
    runs: list[TrainerEvent]


def train(run: StepPublisher, steps: Iterable[int], *, pause_seconds: float = 0.0) -> None:
    """Publish `steps`; none of them may hold the loop up."""
    slowest_seconds = 0.0
    for step in steps:
        began = time.monotonic()
        run.step(step, 1.0 / (1 + step), grad_norms={f"layers.{index}": 0.5 for index in range(20)})
        slowest_seconds = max(slowest_seconds, time.monotonic() - began)
        if pause_seconds:
            time.sleep(pause_seconds)
    assert slowest_seconds < MAX_STEP_SECONDS


def delivered(kafka: KafkaSettings, topics: TopicSettings, run_id: str) -> Delivered:
    """What of the run has arrived, in order."""
    names = topic_names(topics)
    steps, runs = (
        [decode(message.value() or b"") for message in read_topic(kafka, topic) if message.key() == run_id.encode()]
        for topic in (names.steps, names.runs)
    )
    return Delivered(steps, runs)


def outline(events: Iterable[TrainerEvent]) -> list[int | str]:
    """Steps by their number, all else by its kind."""
    return [event.step if isinstance(event, StepEvent) else type(event).__name__ for event in events]


def whole(steps: int, end: str = "RunCompleted") -> list[int | str]:
    """The outline of a run from start to end."""
    return ["RunStarted", *range(steps), end]


def assert_all_arrived(kafka: KafkaSettings, topics: TopicSettings, run: StepPublisher, steps: int) -> None:
    """Every event exactly once and in order, every count as it is, nothing left on disk."""
    arrived = delivered(kafka, topics, run.run_id)
    assert outline(arrived.steps) == whole(steps)
    assert arrived.runs == [arrived.steps[0], arrived.steps[-1]]
    assert run.stats == PublisherStats(published=steps + 4, acknowledged=steps + 4, failed=0, dropped=0)


def kept(spool_dir: Path) -> list[TrainerEvent]:
    """The events in the files of all publishers, those that have arrived as well."""
    files = sorted(spool_dir.glob("*/*.events"))
    return [decode(record.raw) for file in files for record, _ in unpack(file.read_bytes())]


def on_runs_topic(events: Sequence[TrainerEvent]) -> list[TrainerEvent]:
    """Those of a run's events that are for both topics."""
    return [event for event in events if not isinstance(event, StepEvent)]
