"""Steps that come all the while, two workers that judge them, and what their signals have to be in the end."""

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from producers.codec import encode
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, ensure_topics, topic_names
from streakline.processes import stop
from stream_app.settings import StreamSettings
from tests.publishing import publish
from tests.replayed import emitted, replayed
from tests.worker import Worker, wait_until
from tests.workload import Fate, Published, run_events

_JUDGED_WITHIN_SECONDS = 300.0
_STEPS = 90
_RECORDS_BETWEEN_PAUSES = 20
_PAUSE_SECONDS = 0.05


class Load:
    """Steps of runs that end soon, of which others begin then, until `enough` is set."""

    def __init__(self) -> None:
        self.enough = threading.Event()
        self.sent: list[Published] = []

    def records(self) -> Iterator[Published]:
        """To be published as they come."""
        for number, record in enumerate(_generations()):
            if number % _RECORDS_BETWEEN_PAUSES == 0 and self.enough.wait(_PAUSE_SECONDS):
                return
            self.sent.append(record)
            yield record


def _generations() -> Iterator[Published]:
    """One run of each fate at a time."""
    rng = random.Random(3)
    for number in itertools.count():
        runs = [run_events(f"load/{number:05}-{fate.name}", fate, _STEPS, 4, rng) for fate in Fate]
        for step in zip(*runs, strict=True):
            yield from (Published(event.run_id.encode(), encode(event)) for event in step)


def judge_under_load(
    kafka: KafkaSettings, topics: TopicSettings, folder: Path, disturb: Callable[[Callable[[], None]], None]
) -> None:
    """Publish and judge while `disturb` runs; then nothing may be missing, and no signal be other than a replay's.

    A worker that ends is started again, as whatever supervises it does. `disturb` is given what waits until some more
    has been judged, as it should in between.
    """
    ensure_topics(kafka, topics)
    load = Load()
    workers = [Worker(kafka, topics, folder / name, StreamSettings()) for name in ("one", "two")]

    def supervised() -> bool:
        for index, worker in enumerate(workers):
            if worker.process.poll() is not None:
                workers[index] = Worker(kafka, topics, worker.data_dir, StreamSettings())
        return True

    def go_on() -> None:
        before = len(emitted(kafka, topics))
        wait_until(lambda: supervised() and len(emitted(kafka, topics)) > before + 5, timeout_seconds=120)

    try:
        with ThreadPoolExecutor(1) as thread:
            publishing = thread.submit(publish, kafka, topics, load.records())
            try:
                go_on()
                disturb(go_on)
                go_on()
            finally:
                load.enough.set()
            publishing.result()
        arrived = [message.value() for message in read_topic(kafka, topic_names(topics).steps)]
        assert sorted(filter(None, arrived)) == sorted(record.value for record in load.sent)
        expected = replayed(kafka, topics)
        wait_until(lambda: supervised() and emitted(kafka, topics) == expected, timeout_seconds=_JUDGED_WITHIN_SECONDS)
    finally:
        for worker in workers:
            stop(worker.process)
