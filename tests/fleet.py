"""A fleet of publishers, each a process, against a real broker and one stream worker, and what came of it."""

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
from tests.publishing import publish, signals_on
from tests.worker import running_worker, wait_until
from tests.workload import fleet as simulated


class Fleet(Struct, frozen=True):
    """How many runs, and of what size."""

    runs: int
    steps: int
    layers: int
    step_seconds: float | None
    """between two steps of a run, at least; None: no processes, one plays all runs step by step as fast as it can"""


class Played(Struct, frozen=True):
    """What it took."""

    records: int
    publishing_seconds: float
    """from the first process's start to the last one's end"""
    judging_seconds: float
    """from then until the worker has taken the last step"""
    signals: int


def play(fleet: Fleet, kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> Played:
    """Publish the fleet's runs, judge them, and check that nothing is lost, added or out of order."""
    with running_worker(kafka, topics, folder / "data") as worker:
        worker.wait_until_ready()
        began = time.monotonic()
        records = _publish(fleet, kafka, topics, folder)
        published = time.monotonic()
        worker.wait_for_events(records, timeout_seconds=300)
        judged = time.monotonic()
        events = [decode(message.value() or b"") for message in read_topic(kafka, topic_names(topics).steps)]
        expected = {signal.signal_id: encode(signal) for signal in signals_of(events)}
        wait_until(lambda: len(signals_on(kafka, topics)) >= len(expected), worker)
    steps: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if isinstance(event, StepEvent):
            steps[event.run_id].append(event.step)
    assert steps == {run_id_of(number): list(range(fleet.steps)) for number in range(fleet.runs)}
    assert len(events) == records
    emitted = signals_on(kafka, topics)
    assert {signal.signal_id: encode(signal) for signal in emitted} == expected
    assert len(emitted) == len(expected)
    return Played(records, published - began, judged - published, len(emitted))


def _publish(fleet: Fleet, kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> int:
    """The number of records on the steps topic."""
    if fleet.step_seconds is None:
        return publish(kafka, topics, simulated(fleet.runs, fleet.steps, fleet.layers))
    with _members(fleet, kafka, topics, folder) as members:
        statuses = [member.wait(600) for member in members]
    assert statuses == [0] * fleet.runs, (folder / "members.log").read_text()
    assert list(folders(folder / "spool")) == []
    return fleet.runs * (fleet.steps + 2)


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
        for number in range(fleet.runs):
            arguments = map(str, (number, fleet.steps, fleet.layers, fleet.step_seconds))
            command = [sys.executable, "-m", "tests.fleet_member", *arguments]
            members.append(spawn(command, log=folder / "members.log", environ=environ))
        yield members
    finally:
        for member in members:
            stop(member)
