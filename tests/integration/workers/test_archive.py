"""The archiver on a real broker and a real lake: every record is a row, once, whatever happens."""

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from producers.codec import encode
from producers.events import RunCompleted, RunStarted, Signal, StepEvent, TrainerEvent
from producers.kafka import KafkaSettings, client_config, group_config
from producers.reader import read_topic
from producers.settings import to_environ
from producers.topics import TopicsError, TopicSettings, archive_group, ensure_topics, topic_names
from streakline.processes import free_port, spawn, stop
from tests.publishing import publish, publish_to
from tests.record_batches import ZSTD, batch, bomb, produce
from tests.regressed import diverging, regressed
from tests.workload import Published, fleet
from workers.archive.archiver import Archiver
from workers.archive.compact import compact_archive
from workers.archive.intake import markers
from workers.archive.metrics import ArchiveMetrics
from workers.archive.missing import records_missing
from workers.errors import TransientDiffError
from workers.lake.views import views
from workers.lake.writer import Lake
from workers.settings import ArchiveSettings

SETTINGS = ArchiveSettings(session_timeout_seconds=2.0, archive_retry_seconds=0.05, archive_seconds=0.5)
MOMENTS = ("before", "half", "marker", "renamed", "committed")


class Scene:
    """Topics, a lake, and the archivers between them."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> None:
        self.kafka, self.topics, self.folder = kafka, topics, folder
        self.lake = folder / "lake"
        self.names = topic_names(topics)
        self.settings = SETTINGS
        self.processes: list[subprocess.Popen[bytes]] = []
        # Of the group, and never joins it.
        self.observer = Consumer(group_config(kafka, archive_group(topics), session_timeout_seconds=6.0))

    def send(self, topic: str, *events: StepEvent | RunStarted | RunCompleted | Signal | bytes) -> None:
        records = [
            Published(None, each) if isinstance(each, bytes) else Published(each.run_id.encode(), encode(each))
            for each in events
        ]
        publish_to(self.kafka, topic, records)

    def send_fleet(self, seed: int, steps: int = 60) -> int:
        return publish(self.kafka, self.topics, fleet(12, steps, 6, chaos=0.05, seed=seed))

    def start(self, *arguments: str | Path) -> "subprocess.Popen[bytes]":
        environ = {**to_environ(self.settings), **to_environ(self.kafka), **to_environ(self.topics)}
        command = [sys.executable, "-m", "tests.archive_double", str(self.lake), *map(str, arguments)]
        self.processes.append(spawn(command, log=self.folder / f"archiver-{len(self.processes)}.log", environ=environ))
        return self.processes[-1]

    def archiver(self, registry: CollectorRegistry | None = None) -> Archiver:
        metrics = ArchiveMetrics(registry or CollectorRegistry(), ())
        return Archiver(self.kafka, self.topics, self.settings, Lake(str(self.lake)), metrics)

    @contextmanager
    def archiving(self, registry: CollectorRegistry | None = None) -> Iterator[Archiver]:
        archiver = self.archiver(registry)
        thread = threading.Thread(target=archiver.run)
        thread.start()
        try:
            yield archiver
        finally:
            archiver.stop()
            thread.join(30)
            assert not thread.is_alive()

    def query(self, table: str, columns: str) -> list[tuple[object, ...]]:
        """Of what people see."""
        sql = views(str(self.lake))
        if f'VIEW "{table}"' not in sql:
            return []
        with duckdb.connect() as connection:
            connection.execute(sql)
            return connection.execute(f"SELECT {columns} FROM {table} ORDER BY ALL").fetchall()

    def rows(self) -> list[tuple[object, ...]]:
        """Every step that people see."""
        return self.query("steps", 'partition, "offset", run_id, attempt, step')

    def expected(self) -> list[tuple[object, ...]]:
        """Every record of the steps topic that is a step under its run's key."""
        return sorted(
            (message.partition(), message.offset(), event.run_id, event.attempt, event.step)
            for message, event in self.events_on_steps()
            if isinstance(event, StepEvent)
        )

    def events_on_steps(self) -> Iterator[tuple[Message, TrainerEvent]]:
        from producers.codec import MalformedEvent, decode

        for message in read_topic(self.kafka, self.names.steps):
            try:
                event = decode(message.value() or b"")
            except MalformedEvent:
                continue
            if message.key() == event.run_id.encode():
                yield message, event

    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.lake)): path.read_bytes() for path in self.lake.rglob("[!.]*.parquet")}

    def committed(self, topic: str | None = None) -> int:
        """Records that the group is done with."""
        partitions = [TopicPartition(topic or self.names.steps, number) for number in range(self.topics.partitions)]
        return sum(max(0, each.offset) for each in self.observer.committed(partitions, timeout=10))

    def said(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("archiver-*.log")))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"it took too long\n{self.said()}"
            time.sleep(0.1)


@pytest.fixture
def scene(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(kafka, topics, tmp_path)
    yield scene
    scene.observer.close()
    for process in scene.processes:
        process.send_signal(signal.SIGCONT)
        stop(process)


def test_every_event_is_a_row_and_nothing_else_is(scene: Scene) -> None:
    count = scene.send_fleet(0)
    started, completed = RunStarted(run_id="a", ts=1.0, project="llm"), RunCompleted(run_id="a", ts=2.0, steps=9)
    scene.send(scene.names.runs, started, b"{", completed)
    scene.send(scene.names.steps, started)
    scene.send(scene.names.signals, regressed("a", "math"), b"", diverging("a", 3), diverging("a", 3))
    with scene.archiving():
        scene.wait_until(lambda: scene.committed() == count + 1)
        scene.wait_until(lambda: scene.committed(scene.names.runs) + scene.committed(scene.names.signals) == 7)
    assert scene.rows() == scene.expected()
    lives = scene.query("run_events", "run_id, type, project")
    assert [row for row in lives if row[0] == "a"] == [("a", "run_completed", "default"), ("a", "run_started", "llm")]
    assert len(lives) == 4 + 2
    assert [row[0] for row in scene.query("signals", "type")] == ["category_regressed", "loss_diverging"]


def test_killed_at_any_moment_it_loses_and_doubles_nothing(scene: Scene) -> None:
    count = 0
    for index, moment in enumerate(MOMENTS):
        # What came since the last one died makes other ranges of what is read again.
        count += scene.send_fleet(index, steps=20)
        before, committed = scene.files(), scene.committed()
        assert scene.start(moment, scene.folder / f"marker-{index}").wait(60) == -9
        after = scene.files()
        assert before.items() <= after.items()
        assert (len(after) > len(before)) == (moment in {"marker", "renamed", "committed"})
        assert (scene.committed() > committed) >= (moment == "committed")
    scene.start()
    scene.wait_until(lambda: scene.committed() == count)
    assert scene.rows() == scene.expected()


def test_who_stood_still_and_writes_on_doubles_nothing(scene: Scene) -> None:
    """It falls asleep between its last question and its file, and wakes up when all that and more is written."""
    count = scene.send_fleet(3)
    zombie = scene.start("asleep", scene.folder / "marker")
    scene.wait_until((scene.folder / "marker").exists)
    other = scene.start()
    count += scene.send_fleet(4)
    scene.wait_until(lambda: scene.committed() == count)
    assert scene.rows() == scene.expected()
    before = scene.files()
    zombie.send_signal(signal.SIGCONT)
    scene.wait_until(lambda: len(scene.files()) > len(before))
    assert before.items() <= scene.files().items()
    assert scene.rows() == scene.expected()
    # Both go on, then one.
    scene.send_fleet(5)
    scene.wait_until(lambda: len(scene.rows()) == len(scene.expected()))
    other.kill()
    scene.send_fleet(6)
    scene.wait_until(lambda: len(scene.rows()) == len(scene.expected()))
    assert scene.rows() == scene.expected()


def test_sigterm_writes_what_is_held(scene: Scene) -> None:
    scene.settings = ArchiveSettings(session_timeout_seconds=2.0)
    count = scene.send_fleet(7)
    with scene.archiving() as archiver:
        scene.wait_until(lambda: sum(held.next for held in archiver._held.values()) == count)
        assert scene.files() == {}
    assert scene.rows() == scene.expected()
    assert scene.committed() == count


def test_size_makes_files_as_well(scene: Scene) -> None:
    scene.settings = ArchiveSettings(session_timeout_seconds=2.0, archive_bytes=30_000)
    count = scene.send_fleet(8)
    with scene.archiving() as archiver:
        scene.wait_until(lambda: sum(held.next for held in archiver._held.values()) == count)
        # It looks after each batch of records, of which the last may just have come.
        scene.wait_until(lambda: sum(held.size_bytes for held in archiver._held.values()) <= 30_000)
        assert len([name for name in scene.files() if name.startswith("steps/")]) > 2
    assert scene.rows() == scene.expected()


def test_a_lost_offset_changes_nothing_and_a_lost_file_is_written_again(scene: Scene) -> None:
    count = scene.send_fleet(9)
    with scene.archiving():
        scene.wait_until(lambda: scene.committed() == count)
    before = scene.files()
    partitions = [TopicPartition(scene.names.steps, number, 0) for number in range(scene.topics.partitions)]
    scene.observer.commit(offsets=partitions, asynchronous=False)
    assert scene.committed() == 0
    with scene.archiving():
        scene.wait_until(lambda: scene.committed() == count)
    assert scene.files() == before
    lost = min(name for name in before if name.startswith("steps/"))
    (scene.lake / lost).unlink()
    with scene.archiving():
        scene.wait_until(lambda: scene.rows() == scene.expected())


def test_a_lake_that_is_away_is_waited_for(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene.lake.write_text("a file where the folder should be")
    count = scene.send_fleet(10)
    with scene.archiving() as archiver:
        scene.wait_until(lambda: archiver._failures > 2)
        assert scene.committed() == 0
        scene.lake.unlink()
        scene.wait_until(lambda: scene.committed() == count)
        # And with records in its hands.
        scene.lake.rename(scene.folder / "away")
        scene.lake.write_text("no folder")
        count += scene.send_fleet(11)
        scene.wait_until(lambda: archiver._failures > 2)
        count += scene.send_fleet(12)
        time.sleep(0.5)
        assert archiver.is_waiting
        scene.lake.unlink()
        (scene.folder / "away").rename(scene.lake)
        scene.wait_until(lambda: scene.committed() == count)
        scene.wait_until(lambda: not archiver.is_waiting)
    assert scene.rows() == scene.expected()
    told = [record.getMessage() for record in caplog.records]
    assert sum("the archive waits: The lake cannot be used" in each for each in told) == 2
    assert sum(each == "archiving goes on" for each in told) == 2


def test_a_topic_made_anew_is_another_one(scene: Scene) -> None:
    count = scene.send_fleet(13, steps=40)
    with scene.archiving():
        scene.wait_until(lambda: scene.committed() == count)
    old = scene.rows()
    admin = AdminClient(client_config(scene.kafka))
    admin.delete_topics([scene.names.steps])[scene.names.steps].result()
    ensure_topics(scene.kafka, scene.topics)
    # Shorter than the old one: it has no offset that the lake does not hold of that.
    scene.send(scene.names.steps, *(StepEvent(run_id=f"new-{n}", step=1, ts=1.0, loss=1.0) for n in range(8)))
    with scene.archiving():
        scene.wait_until(lambda: len(scene.rows()) == len(old) + 8)
    assert [row for row in scene.rows() if str(row[2]).startswith("new-")] == scene.expected()
    assert [row for row in scene.rows() if str(row[2]).startswith("fleet/")] == old


def test_what_is_held_of_a_topic_that_is_made_anew_meanwhile_is_not_written(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Only its id changes here: librdkafka does not survive that this broker deletes a topic it reads.
    scene.settings = ArchiveSettings(session_timeout_seconds=2.0)
    count = scene.send_fleet(15, steps=20)
    with scene.archiving() as archiver:
        scene.wait_until(lambda: sum(held.next for held in archiver._held.values()) == count)
        monkeypatch.setattr(archiver._generations, "of", lambda topics: dict.fromkeys(topics, "ab" * 16))
        archiver._ids_due = 0.0
        scene.wait_until(lambda: any(held.series.generation == "ab" * 16 for held in archiver._held.values()))
        scene.wait_until(lambda: sum(held.next for held in archiver._held.values()) == count)
    assert scene.rows() == scene.expected()
    assert all("ab" * 16 in name for name in scene.files())
    assert sum("was made anew" in record.message for record in caplog.records) == 1


def test_it_ends_while_the_lake_or_the_broker_is_away(scene: Scene) -> None:
    scene.lake.write_text("no folder")
    scene.send_fleet(14, steps=5)
    with scene.archiving() as archiver:
        scene.wait_until(lambda: archiver._failures > 0)
    scene.kafka = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}")
    with scene.archiving():
        pass


def test_once_takes_what_there_is_and_ends(scene: Scene) -> None:
    count = scene.send_fleet(16)
    scene.send(scene.names.signals, regressed("a", "math"))
    scene.send(scene.names.runs, RunStarted(run_id="a", ts=1.0))
    assert records_missing(scene.kafka, scene.topics, Lake(str(scene.lake))) == count + 2
    for _ in range(2):
        scene.archiver().run_once()
        assert scene.rows() == scene.expected()
        assert records_missing(scene.kafka, scene.topics, Lake(str(scene.lake))) == 0
    assert scene.committed() == count
    before = scene.files()
    later = scene.send_fleet(17, steps=5)
    assert records_missing(scene.kafka, scene.topics, Lake(str(scene.lake))) == later
    # Beside one that holds the same and has not written it yet.
    scene.settings = ArchiveSettings(session_timeout_seconds=2.0)
    with scene.archiving() as other:
        scene.wait_until(lambda: sum(held.records for held in other._held.values()) > 0)
        scene.archiver().run_once()
        assert before.items() < scene.files().items()
        assert scene.rows() == scene.expected()
    assert scene.rows() == scene.expected()


def test_batches_that_cannot_be_decompressed_hold_no_partition_up(scene: Scene) -> None:
    """Apache Kafka refuses those that are rubbish; one that becomes larger than the client takes it does not."""
    for raw in (batch(b"rubbish", ZSTD, count=5), batch(bomb(ZSTD, 300), ZSTD)):
        for partition in range(scene.topics.partitions):
            produce(scene.kafka, scene.names.steps, partition, raw)
        scene.send_fleet(40, steps=5)
    # One is the last on its partition.
    produce(scene.kafka, scene.names.steps, 0, batch(bomb(ZSTD, 300), ZSTD))
    registry = CollectorRegistry()
    with scene.archiving(registry):
        scene.wait_until(lambda: scene.rows() == scene.expected() != [])
        scene.wait_until(
            lambda: registry.get_sample_value("streakline_archive_lag_records", {"topic": scene.names.steps}) == 0
        )
    scene.archiver().run_once()
    assert scene.rows() == scene.expected()


def test_once_fails_where_the_lake_or_the_broker_does(scene: Scene) -> None:
    scene.send_fleet(18, steps=5)
    scene.lake.write_text("no folder")
    with pytest.raises(TransientDiffError, match="The lake cannot be used"):
        scene.archiver().run_once()
    scene.kafka = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}")
    with pytest.raises(TopicsError, match="no answer from the broker"):
        scene.archiver().run_once()
    with pytest.raises(TopicsError, match="no answer from the broker"):
        records_missing(scene.kafka, scene.topics, Lake(str(scene.folder / "other")))


def test_what_is_not_in_the_lake_is_counted(scene: Scene) -> None:
    scene.settings = ArchiveSettings(session_timeout_seconds=2.0)
    count = scene.send_fleet(19, steps=5)
    registry = CollectorRegistry()

    def lag(topic: str) -> float | None:
        return registry.get_sample_value("streakline_archive_lag_records", {"topic": topic})

    with scene.archiving(registry) as archiver:
        scene.wait_until(lambda: lag(scene.names.steps) == count)
        assert lag(scene.names.signals) == 0
        archiver._settings = SETTINGS
        scene.wait_until(lambda: lag(scene.names.steps) == 0)
    assert scene.rows() == scene.expected()


def test_compaction_does_not_change_where_an_archiver_goes_on(scene: Scene) -> None:
    count = 0
    for seed in range(20, 24):
        count += scene.send_fleet(seed, steps=10)
        scene.archiver().run_once()
    many = len(scene.files())
    for hours in (1, 2):
        compact_archive(str(scene.lake), markers(scene.names), now=time.time() + 4000 * hours)
    assert len(scene.files()) < many / 2
    assert scene.rows() == scene.expected()
    assert records_missing(scene.kafka, scene.topics, Lake(str(scene.lake))) == 0
    count += scene.send_fleet(24, steps=10)
    with scene.archiving():
        scene.wait_until(lambda: scene.committed() == count)
    assert scene.rows() == scene.expected()
