"""Whatever the network does to an archiver: every record is in the lake, once."""

from pathlib import Path

import duckdb

from producers.codec import MalformedEvent, decode
from producers.events import StepEvent
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.settings import to_environ
from producers.topics import TopicsError, TopicSettings, topic_names
from streakline.processes import free_port, spawn
from tests.commands import COMMAND
from tests.diff_service import ask
from tests.faults.hurting import Supervised
from tests.faults.load import load
from tests.faults.network import SWALLOWED, Fault, faults
from tests.faulty_broker import FaultyBroker
from tests.worker import wait_until
from workers.archive.missing import records_missing
from workers.lake.views import views
from workers.lake.writer import Lake
from workers.settings import ArchiveSettings

Row = tuple[int, int, str, int, int]
"""partition, offset, run, attempt and step"""


def archiver(kafka: KafkaSettings, topics: TopicSettings, folder: Path, port: int) -> Supervised:
    settings = ArchiveSettings(
        lake=str(folder / "lake"),
        metrics_port=port,
        session_timeout_seconds=3.0,
        archive_seconds=0.5,
        archive_retry_seconds=0.2,
    )
    environ = {**to_environ(kafka), **to_environ(topics), **to_environ(settings)}
    return Supervised(lambda: spawn([*COMMAND, "archive"], log=folder / "archiver.log", environ=environ))


def rows(lake: Path) -> list[Row]:
    """Every step that people see."""
    with duckdb.connect() as connection:
        connection.execute(views(str(lake)))
        sql = 'SELECT partition, "offset", run_id, attempt, step FROM steps ORDER BY ALL'
        return connection.execute(sql).fetchall()


def expected(kafka: KafkaSettings, topics: TopicSettings) -> list[Row]:
    """Every record of the steps topic that is a step under its run's key."""
    found: list[Row] = []
    for message in read_topic(kafka, topic_names(topics).steps):
        try:
            event = decode(message.value() or b"")
        except MalformedEvent:
            continue
        if isinstance(event, StepEvent) and message.key() == event.run_id.encode():
            found.append((message.partition() or 0, message.offset() or 0, event.run_id, event.attempt, event.step))
    return sorted(found)


def has_all(kafka: KafkaSettings, topics: TopicSettings, lake: Path) -> bool:
    try:
        return records_missing(kafka, topics, Lake(str(lake))) == 0
    except TopicsError:
        return False


@faults(SWALLOWED)
def test_under_steady_load(
    front: FaultyBroker, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, fault: Fault
) -> None:
    lake, port = tmp_path / "lake", free_port()
    with archiver(kafka, topics, tmp_path, port) as service:
        with load(kafka, topics):
            wait_until((lake / "steps").exists)
            fault.strike(front)
        wait_until(lambda: has_all(kafka, topics, lake), timeout_seconds=180)
        wait_until(lambda: ask(f"http://127.0.0.1:{port}/readyz") == (200, {}))
        assert service.deaths == []
    assert rows(lake) == expected(kafka, topics)
