"""A fleet of publishers in many processes against a real broker and one stream worker, and what came of it."""

import contextlib
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from producers.codec import decode, encode
from producers.events import StepEvent
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.settings import to_environ
from producers.spool.folder import folders
from producers.spool.settings import SpoolSettings
from producers.topics import TopicSettings, topic_names
from streakline.processes import spawn, stop
from stream_app.engine.replay import signals_of
from tests.fleet_member import run_id_of
from tests.publishing import signals_on
from tests.worker import running_worker, wait_until


class Fleet(Struct, frozen=True):
    """How many runs, in how many processes, of what size."""

    processes: int
    runs_each: int
    steps: int
    layers: int
    step_seconds: float
    """between two steps of a run, at least"""

    @property
    def runs(self) -> int:
        """All of them."""
        return self.processes * self.runs_each

    @property
    def records(self) -> int:
        """On the steps topic in the end: every step, and each run's start and end."""
        return self.runs * (self.steps + 2)


class Played(Struct, frozen=True):
    """What it took."""

    publishing_seconds: float
    """from the first step on the topic's clock to the last process's end"""
    judging_seconds: float
    """from then until the last signal"""
    signals: int


def play(fleet: Fleet, kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> Played:
    """Publish the fleet's runs, judge them, and check that nothing is lost, added or out of order."""
    with running_worker(kafka, topics, folder / "data") as worker:
        worker.wait_until_ready()
        with _members(fleet, kafka, topics, folder) as members:
            statuses = [member.wait(600) for member in members]
        ended = time.time()
        assert statuses == [0] * fleet.processes, (folder / "members.log").read_text()
        worker.wait_for_events(fleet.records, timeout_seconds=300)
        judged = time.time()
        events = [decode(message.value() or b"") for message in read_topic(kafka, topic_names(topics).steps)]
        expected = {signal.signal_id: encode(signal) for signal in signals_of(events)}
        wait_until(lambda: len(signals_on(kafka, topics)) >= len(expected), worker)
    steps: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if isinstance(event, StepEvent):
            steps[event.run_id].append(event.step)
    assert steps == {run_id_of(number): list(range(fleet.steps)) for number in range(fleet.runs)}
    assert len(events) == fleet.records
    emitted = signals_on(kafka, topics)
    assert {signal.signal_id: encode(signal) for signal in emitted} == expected
    assert len(emitted) == len(expected)
    assert list(folders(folder / "spool")) == []
    began = min(event.ts for event in events)
    return Played(ended - began, judged - ended, len(emitted))


@contextlib.contextmanager
def _members(
    fleet: Fleet, kafka: KafkaSettings, topics: TopicSettings, folder: Path
) -> Iterator[list[subprocess.Popen[bytes]]]:
    environ = {
        **to_environ(kafka),
        **to_environ(topics),
        **to_environ(SpoolSettings(spool_dir=str(folder / "spool"))),
    }
    members = []
    try:
        for first in range(0, fleet.runs, fleet.runs_each):
            size = (first, fleet.runs_each, fleet.steps, fleet.layers, fleet.step_seconds)
            command = [sys.executable, "-m", "tests.fleet_member", *map(str, size)]
            members.append(spawn(command, log=folder / "members.log", environ=environ))
        yield members
    finally:
        for member in members:
            stop(member)
