"""Whatever the network does to a diff worker: each run gets its diff, each regression its row, and all is told."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from msgspec.structs import replace

import workers.results
from producers.codec import decode_diff, encode
from producers.events import DiffCompleted, DiffFailed, RunCompleted
from producers.examples import VALID
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.settings import to_environ
from producers.topics import TopicSettings, topic_names
from streakline.processes import spawn
from streakline.redis_server import running_redis
from tests.faults.hurting import Supervised
from tests.faults.network import ANSWERS_LOST, HALF_OPEN, Fault, faults
from tests.faulty_broker import FaultyBroker
from tests.publishing import publish_to
from tests.regressed import regressed
from tests.worker import header, wait_until
from tests.workload import Published
from workers.errors import TransientDiffError
from workers.lake.views import views
from workers.lake.writer import Lake
from workers.regression_writer import RegressionWriter
from workers.results import Results
from workers.settings import DiffWorkerSettings

WELL_AGAIN_SECONDS = 120.0
SETTINGS = DiffWorkerSettings(lease_seconds=2.0, session_timeout_seconds=3.0, diff_retry_seconds=0.2)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with running_redis() as url:
        yield url


class Scene:
    """Topics, and a worker whose diffs take as long as their checkpoints' names say."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, redis_url: str, folder: Path) -> None:
        self.kafka, self.names, self.log = kafka, topic_names(topics), folder / "log"
        self._environ = {
            **to_environ(SETTINGS),
            **to_environ(kafka),
            **to_environ(topics),
            "STREAKLINE_REDIS_URL": redis_url,
        }
        self._folder = folder

    def worker(self) -> Supervised:
        command = [sys.executable, "-m", "tests.diff_worker_double", str(self._folder)]
        return Supervised(lambda: spawn(command, log=self._folder / "worker.log", environ=self._environ))

    def complete(self, *runs: str) -> None:
        """Each is ``name:kind``."""
        events = [
            RunCompleted(run_id=name, ts=1.0, steps=3, base_model="base", checkpoint=kind, project="p")
            for name, kind in (run.split(":") for run in runs)
        ]
        publish_to(self.kafka, self.names.runs, [Published(each.run_id.encode(), encode(each)) for each in events])

    def begun(self) -> Counter[str]:
        """How often each diff was."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return Counter(line.removeprefix("begin ") for line in lines if line.startswith("begin "))

    def told(self) -> Counter[str]:
        """How often of each run."""
        return Counter(event.run_id for event in self._results())

    def failed(self) -> set[str]:
        return {event.run_id for event in self._results() if isinstance(event, DiffFailed)}

    def dead_letters(self) -> list[tuple[str, bytes]]:
        """The reason of each, and its value."""
        letters = read_topic(self.kafka, self.names.dead_letters)
        return sorted((header(letter, "reason"), letter.value() or b"") for letter in letters)

    def _results(self) -> list[DiffCompleted | DiffFailed]:
        return [decode_diff(message.value() or b"") for message in read_topic(self.kafka, self.names.diffs)]


@pytest.fixture
def scene(kafka: KafkaSettings, topics: TopicSettings, redis_url: str, tmp_path: Path) -> Scene:
    return Scene(kafka, topics, redis_url, tmp_path)


@faults(HALF_OPEN)
def test_while_a_long_diff_is_made(front: FaultyBroker, scene: Scene, fault: Fault) -> None:
    with scene.worker() as worker:
        scene.complete("long:slow")
        wait_until(lambda: scene.begun()["long"] == 1)
        # They are told of when the network fails or has just failed, too.
        scene.complete("bad:bad", *(f"good-{number}:good" for number in range(6)))
        publish_to(scene.kafka, scene.names.runs, [Published(b"x", b"{")])
        fault.strike(front)
        scene.complete("late:good")
        runs = {"long", "bad", "late", *(f"good-{number}" for number in range(6))}
        wait_until(lambda: scene.told().keys() == runs, timeout_seconds=WELL_AGAIN_SECONDS)
        wait_until(lambda: len(scene.dead_letters()) >= 2, timeout_seconds=WELL_AGAIN_SECONDS)
        assert worker.deaths == []
        assert worker.close() == 0
    # What was not committed comes again, is found, and told of again; nothing is made twice.
    assert scene.begun() == dict.fromkeys(runs - {"bad"}, 1) | {"bad": scene.told()["bad"]}
    assert max(scene.told().values()) <= 2
    assert scene.failed() == {"bad"}
    assert {reason for reason, _ in scene.dead_letters()} == {"checkpoint_invalid", "not_json"}


@contextmanager
def writing(writer: RegressionWriter) -> Iterator[None]:
    """In a thread, as in a diff worker's process."""
    thread = threading.Thread(target=writer.run)
    thread.start()
    try:
        yield
    finally:
        writer.stop()
        thread.join(60)
        assert not thread.is_alive()


def rows(lake: Path) -> list[tuple[str, str]]:
    """Run and category of every regression that people see."""
    sql = views(str(lake))
    if "regressions" not in sql:
        return []
    with duckdb.connect() as connection:
        connection.execute(sql)
        return connection.execute("SELECT run_id, category FROM regressions ORDER BY ALL").fetchall()


@faults(ANSWERS_LOST)
def test_while_regressions_are_written(
    front: FaultyBroker, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, fault: Fault
) -> None:
    lake, topic = tmp_path / "lake", topic_names(topics).signals
    runs = [f"run-{number}" for number in range(30)]

    def send(some: list[str]) -> None:
        signals = [
            regressed(run, category, diff_id=f"{number:016x}")
            for number, run in enumerate(some)
            for category in ("code", "math")
        ]
        publish_to(kafka, topic, [Published(each.run_id.encode(), encode(each)) for each in signals])

    with writing(RegressionWriter(kafka, topics, SETTINGS, Lake(str(lake)))):
        send(runs[:10])
        wait_until(lambda: len(rows(lake)) > 0)
        send(runs[10:20])
        fault.strike(front)
        send(runs[20:])
        expected = sorted((run, category) for run in runs for category in ("code", "math"))
        wait_until(lambda: rows(lake) == expected, timeout_seconds=WELL_AGAIN_SECONDS)


@pytest.mark.parametrize("fault", [FaultyBroker.refuse, FaultyBroker.pause])
def test_a_result_that_is_tried_again_is_told_once(
    front: FaultyBroker,
    kafka: KafkaSettings,
    topics: TopicSettings,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[FaultyBroker], None],
) -> None:
    results, event = Results(kafka, topic_names(topics)), VALID["diff_completed"]
    assert isinstance(event, DiffCompleted)
    results.completed(replace(event, run_id="before"))
    monkeypatch.setattr(workers.results, "_ACKNOWLEDGED_WITHIN_SECONDS", 0.5)
    fault(front)
    for _ in range(2):
        with pytest.raises(TransientDiffError, match="did not acknowledge a result"):
            results.completed(event)
    front.forward()
    monkeypatch.setattr(workers.results, "_ACKNOWLEDGED_WITHIN_SECONDS", WELL_AGAIN_SECONDS)
    results.completed(event)
    results.completed(replace(event, run_id="after"))
    told = [decode_diff(message.value() or b"").run_id for message in read_topic(kafka, topic_names(topics).diffs)]
    assert sorted(told) == sorted(["before", event.run_id, "after"])
