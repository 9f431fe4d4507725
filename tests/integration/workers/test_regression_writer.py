"""The regression writer on a real broker and a real lake: every regression is a row, once, whatever happens."""

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pytest
from confluent_kafka import Consumer, TopicPartition

from producers.codec import encode
from producers.events import Signal
from producers.kafka import KafkaSettings, group_config
from producers.settings import to_environ
from producers.topics import TopicSettings, ensure_topics, regressions_group, topic_names
from streakline.processes import free_port, spawn, stop
from tests.publishing import publish_to
from tests.regressed import TS, diverging, regressed
from tests.unit.workers.lake.rows import common, some_rows
from tests.workload import Published
from workers.lake.compact import compact
from workers.lake.tables import RunRow
from workers.lake.views import views
from workers.lake.writer import Lake
from workers.regression_writer import RegressionWriter
from workers.settings import DiffWorkerSettings

SETTINGS = DiffWorkerSettings(session_timeout_seconds=3.0, diff_retry_seconds=0.05)
DIFF = "0" * 16


class Scene:
    """Topics, a lake, and the writers between them."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> None:
        self.kafka, self.topics, self.folder = kafka, topics, folder
        self.lake = folder / "lake"
        self.topic = topic_names(topics).signals
        self.processes: list[subprocess.Popen[bytes]] = []
        # Of the group, and never joins it.
        self.observer = Consumer(group_config(kafka, regressions_group(topics), session_timeout_seconds=6.0))

    def send(self, *signals: Signal | bytes) -> None:
        """As the stream app does: by run."""
        records = [
            Published(None, each) if isinstance(each, bytes) else Published(each.run_id.encode(), encode(each))
            for each in signals
        ]
        publish_to(self.kafka, self.topic, records)

    def start(self, *arguments: str | Path) -> "subprocess.Popen[bytes]":
        environ = {**to_environ(SETTINGS), **to_environ(self.kafka), **to_environ(self.topics)}
        command = [sys.executable, "-m", "tests.regression_writer_double", str(self.lake), *map(str, arguments)]
        self.processes.append(spawn(command, log=self.folder / f"writer-{len(self.processes)}.log", environ=environ))
        return self.processes[-1]

    @contextmanager
    def writing(self) -> Iterator[RegressionWriter]:
        """A writer in a thread, as in a diff worker's process."""
        writer = RegressionWriter(self.kafka, self.topics, SETTINGS, Lake(str(self.lake)))
        thread = threading.Thread(target=writer.run)
        thread.start()
        try:
            yield writer
        finally:
            writer.stop()
            thread.join(30)
            assert not thread.is_alive()

    def rows(self) -> list[tuple[str, str]]:
        """Run and category of every row that people see."""
        sql = views(str(self.lake))
        if "regressions" not in sql:
            return []
        for _ in range(100):
            # A file that is written anew while DuckDB reads it is an error, never other rows: ask again.
            with suppress(duckdb.Error), duckdb.connect() as connection:
                connection.execute(sql)
                return connection.execute("SELECT run_id, category FROM regressions ORDER BY ALL").fetchall()
        raise AssertionError("the lake cannot be read")

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.lake / "regressions").rglob("[!.]*.parquet")}

    def committed(self) -> int:
        """Records that the group is done with."""
        partitions = [TopicPartition(self.topic, number) for number in range(self.topics.partitions)]
        return sum(max(0, each.offset) for each in self.observer.committed(partitions, timeout=10))

    def said(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("writer-*.log")))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"it took too long: {self.rows()}\n{self.said()}"
            time.sleep(0.1)


@pytest.fixture
def scene(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(kafka, topics, tmp_path)
    yield scene
    scene.observer.close()
    for process in scene.processes:
        process.send_signal(signal.SIGCONT)
        stop(process)


def other_scene(scene: Scene) -> Scene:
    topics = TopicSettings(topic_prefix=f"{scene.topics.topic_prefix}other.", partitions=scene.topics.partitions)
    ensure_topics(scene.kafka, topics)
    return Scene(scene.kafka, topics, scene.folder / "other")


def test_every_regression_is_a_row_and_nothing_else_is(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    runs = [f"team/run-{number}" for number in range(20)]
    hostile = [b"", b"{", b"\xff" * 10, b'{"type":"category_regressed"}', encode(regressed("x y", "math")), b"[" * 9999]
    unseen = encode(regressed("x", "math")).replace(b"1769853600.5", b"1e300")
    noise = [diverging(run, step) for step in range(150) for run in runs]
    signals = [regressed(run, category) for run in runs for category in ("math", "code")]
    scene.send(*hostile, *noise, unseen, *signals, signals[0])
    count = len(hostile) + len(noise) + 1 + len(signals) + 1
    with scene.writing():
        scene.wait_until(lambda: scene.committed() == count)
    assert scene.rows() == sorted((run, category) for run in runs for category in ("math", "code"))
    assert len(scene.files()) == len(runs)
    assert sum("tells of no regression" in record.message for record in caplog.records) == 3


def test_two_signals_of_a_diff_are_one_file_whenever_they_come(scene: Scene) -> None:
    lake = Lake(str(scene.lake))
    lake.write("runs", some_rows(RunRow, 1), common("a", DIFF, config_hash="known"))
    math, code, other = (regressed("a", "math"), regressed("a", "code"), regressed("a", "math", diff_id="1" * 16))
    with scene.writing():
        scene.send(math)
        scene.wait_until(lambda: scene.rows() == [("a", "math")])
        scene.send(code, other)
        scene.wait_until(lambda: scene.committed() == 3)
    assert scene.rows() == [("a", "code"), ("a", "math"), ("a", "math")]
    assert len(scene.files()) == 2
    with duckdb.connect() as connection:
        connection.execute(views(str(scene.lake)))
        found = connection.execute(
            "SELECT diff_id, config_hash, epoch(created_at) FROM regressions GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    assert found == [(DIFF, "known", TS), ("1" * 16, "", TS)]

    # The other way round and at once, into another lake: the same bytes.
    before, again = scene.files(), other_scene(scene)
    Lake(str(again.lake)).write("runs", some_rows(RunRow, 1), common("a", DIFF, config_hash="known"))
    again.send(other, code, math)
    with again.writing():
        again.wait_until(lambda: again.committed() == 3)
    again.observer.close()
    assert again.files() == before


def test_what_is_compacted_is_merged_with(scene: Scene) -> None:
    root = str(scene.lake)
    first = [regressed(run, "math") for run in ("a", "b", "c")]
    with scene.writing():
        scene.send(*first)
        scene.wait_until(lambda: scene.committed() == 3)
        # Twice, so that the rows are in a compact file alone.
        for _ in range(2):
            compact(root, min_files=3, grace_seconds=0.0, now=time.time() + 10)
        assert [name[:7] for name in scene.files()] == ["compact"]
        scene.send(regressed("a", "code"), *first)
        scene.wait_until(lambda: scene.committed() == 7)
    assert len(scene.files()) == 2  # b and c had nothing new
    expected = [("a", "code"), ("a", "math"), ("b", "math"), ("c", "math")]
    assert scene.rows() == expected
    for _ in range(3):
        compact(root, min_files=2, grace_seconds=0.0, now=time.time() + 10)
        assert scene.rows() == expected
    assert len(scene.files()) == 1


def test_killed_between_the_file_and_the_commit_it_doubles_nothing(scene: Scene) -> None:
    signals = [regressed(run, category) for run in ("a", "b", "c", "d") for category in ("math", "code")]
    scene.send(*signals)
    assert scene.start(scene.folder / "marker").wait(60) == -9
    assert scene.committed() == 0
    before = scene.files()
    assert len(before) == 1
    scene.start()
    scene.wait_until(lambda: scene.committed() == len(signals))
    after = scene.files()
    assert before.items() <= after.items()
    assert scene.rows() == sorted((run, category) for run in ("a", "b", "c", "d") for category in ("math", "code"))
    # All of it again.
    scene.send(*signals)
    scene.wait_until(lambda: scene.committed() == 2 * len(signals))
    assert scene.files() == after


@pytest.mark.parametrize("goes_on", [True, False])
def test_who_stood_still_writes_over_nothing_that_another_has_written_meanwhile(scene: Scene, goes_on: bool) -> None:
    """Its file holds one signal, and by the time it is written the next writer knows of two."""
    scene.send(regressed("a", "math"))
    zombie = scene.start(scene.folder / "marker", "asleep")
    scene.wait_until((scene.folder / "marker").exists)
    scene.send(regressed("a", "code"))
    scene.start()
    scene.wait_until(lambda: "does not let go of it" in scene.said() or scene.committed() == 2)
    zombie.send_signal(signal.SIGCONT if goes_on else signal.SIGKILL)
    scene.wait_until(lambda: "it has slept, and written" in scene.said() or not goes_on)
    scene.wait_until(lambda: scene.committed() == 2)
    assert scene.rows() == [("a", "code"), ("a", "math")]
    assert len(scene.files()) == 1


def test_two_writers_share_the_work_and_one_takes_over(scene: Scene) -> None:
    runs = [f"run-{number}" for number in range(24)]
    expected: set[tuple[str, str]] = set()

    def send(part: list[str], *categories: str) -> None:
        scene.send(*(regressed(run, category) for category in categories for run in part))
        expected.update((run, category) for category in categories for run in part)

    first = scene.start()
    send(runs[:12], "math")
    scene.wait_until(lambda: len(scene.rows()) == 12)
    scene.start()
    for category in ("code", "refusal", "reasoning"):
        send(runs, category)
    scene.wait_until(lambda: len(scene.rows()) > 12)
    first.kill()
    send(runs[12:], "math")
    scene.wait_until(lambda: len(scene.rows()) == len(expected))
    assert set(scene.rows()) == expected
    assert len(scene.files()) == len(runs)


def test_a_lake_that_is_away_is_waited_for(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene.lake.write_text("a file where the folder should be")
    scene.send(regressed("a", "math"), *(diverging("a", step) for step in range(10)))

    def said(what: str) -> int:
        return sum(what in record.message for record in caplog.records)

    with scene.writing() as writer:
        scene.wait_until(lambda: writer._failures > 2)
        scene.send(regressed("b", "math"))
        scene.wait_until(lambda: writer._failures > 4)
        assert scene.committed() == 0
        scene.lake.unlink()
        scene.wait_until(lambda: scene.committed() == 12)
        scene.wait_until(lambda: said("written again") == 1)  # it says so after it has committed
        assert said("The lake cannot be used") == 1
        # And in the middle of it all once more: the table's own folder, and what is there is no Parquet file.
        (path,) = (scene.lake / "regressions").rglob("a-*.parquet")
        whole = path.read_bytes()
        path.write_bytes(b"damaged")
        scene.send(regressed("a", "code"))
        scene.wait_until(lambda: writer._failures > 1)
        assert path.read_bytes() == b"damaged"
        path.write_bytes(whole)
        scene.wait_until(lambda: scene.committed() == 13)
    assert scene.rows() == [("a", "code"), ("a", "math"), ("b", "math")]


def test_who_joins_while_the_lake_is_away_waits_as_well(scene: Scene) -> None:
    scene.lake.write_text("a file where the folder should be")
    runs = [f"run-{number}" for number in range(16)]
    scene.send(*(regressed(run, "math") for run in runs))
    with scene.writing() as first:
        scene.wait_until(lambda: first._failures > 0)
        with scene.writing() as second:
            scene.wait_until(lambda: second._failures > 0 and first._failures > 0)
            assert scene.committed() == 0
            scene.lake.unlink()
            scene.wait_until(lambda: scene.committed() == len(runs))
        # Handed back, and read on from where it was committed.
        scene.send(*(regressed(run, "code") for run in runs))
        scene.wait_until(lambda: scene.committed() == 2 * len(runs))
    assert scene.rows() == sorted((run, category) for run in runs for category in ("code", "math"))


def test_it_ends_while_the_lake_or_the_broker_is_away(scene: Scene) -> None:
    scene.lake.write_text("no folder")
    scene.send(regressed("a", "math"))
    with scene.writing() as writer:
        scene.wait_until(lambda: writer._failures > 0)
    scene.kafka = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}")
    with scene.writing():
        pass
