"""Real diff workers on common topics, what readers see of their lakes meanwhile, and what is there in the end."""

import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
from confluent_kafka import Consumer, Message, TopicPartition
from msgspec import Struct, structs

from producers.codec import decode_diff, encode
from producers.events import DiffCompleted, DiffFailed, RunCompleted
from producers.kafka import reader_config
from producers.reader import read_topic
from producers.redis.client import connect
from producers.topics import diff_group, ensure_topics, topic_names
from streakline.processes import free_port
from tests.clusters import forget_topics, kafka_at, topics_under
from tests.heeding import heeds
from tests.killed_diffs import Setup, Worker
from tests.publishing import publish_to
from tests.workload import Published
from workers.base_cache import BaseCache
from workers.diff import DiffMaker
from workers.jobs import DiffJob
from workers.lake.tables import TABLES
from workers.lake.views import views
from workers.lake.writer import Lake
from workers.progress import silent
from workers.settings import DiffSettings, DiffWorkerSettings

_DONE_WITHIN_SECONDS = 150.0

Look = Callable[[], None]
"""what a reader does, and fails by an assertion"""


class Undisturbed(Struct, frozen=True, kw_only=True):
    """What comes of some jobs where nobody is killed."""

    lake: Path
    events: Mapping[str, DiffCompleted]
    """by run"""
    rows: Mapping[str, Mapping[str, int]]
    """table → run → how many"""


def made_undisturbed(root: Path, lake: Path, *jobs: DiffJob) -> Undisturbed:
    """Without Kafka and Redis, one after the other."""
    settings = diff_settings(root, lake)
    make = DiffMaker(settings, cache=BaseCache(Lake(settings.lake), None, None))
    events = {each.run_id: make(each, silent) for each in jobs}
    return Undisturbed(lake=lake, events=events, rows=shown(lake))


def diff_settings(root: Path, lake: Path) -> DiffSettings:
    return DiffSettings(lake=str(lake), model_roots=str(root), device="cpu")


def shown(lake: Path) -> dict[str, dict[str, int]]:
    """What a reader sees: table → run → rows; it asks for `runs` first."""
    found: dict[str, dict[str, int]] = {}
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.execute(views(str(lake)))
        present = {name for (name,) in connection.execute("SELECT view_name FROM duckdb_views()").fetchall()}
        for table in [table for table in TABLES if table in present]:
            sql = f"SELECT run_id, count(*) FROM {table} GROUP BY run_id"
            found[table] = dict(connection.execute(sql).fetchall())
    return found


def reader(lake: Path, undisturbed: Undisturbed) -> Look:
    """Fails where a query fails, or shows a part of a diff."""

    def look() -> None:
        found = shown(lake)
        for table, rows in found.items():
            whole = undisturbed.rows[table]
            assert rows.items() <= whole.items(), f"{table} is not whole: {rows} of {whole}"
        for run in found.get("runs", {}):
            missing = [
                table for table, rows in undisturbed.rows.items() if run in rows and run not in found.get(table, {})
            ]
            assert not missing, f"{run} is told of, and has nothing in {missing}"

    return look


def files_in(lake: Path) -> dict[str, bytes]:
    """Of the tables: without the cache, and without what a worker that was killed left half-written."""
    paths = [path for path in lake.rglob("*") if path.is_file() and not path.name.startswith(".")]
    files = {str(path.relative_to(lake)): path.read_bytes() for path in paths}
    return {name: data for name, data in files.items() if not name.startswith("base_cache/")}


class Pool:
    """The workers, and what there is for them to do. A lake's workers log and take notes beside it."""

    def __init__(
        self,
        broker: str,
        redis_url: str,
        root: Path,
        folder: Path,
        *,
        partitions: int,
        lease_seconds: float,
        session_timeout_seconds: float,
        prefix: str | None = None,
        takes_notes: bool = True,
    ) -> None:
        """Models lie under `root`; `folder` is of this pool alone, and gives the topics their `prefix` without one."""
        self.root, self.folder = root, folder
        self.kafka = kafka_at(broker)
        own = f"{folder.parent.name}-{folder.name}."
        self.topics = topics_under(own if prefix is None else prefix, partitions=partitions)
        ensure_topics(self.kafka, self.topics)
        self.names = topic_names(self.topics)
        self.settings = DiffWorkerSettings(
            redis_url=redis_url,
            lease_seconds=lease_seconds,
            session_timeout_seconds=session_timeout_seconds,
            diff_retry_seconds=0.2,
        )
        self._takes_notes = takes_notes
        self._redis = connect(redis_url)
        self._workers: list[Worker] = []

    def start(self, lake: Path, point: str | None = None, metrics_port: int | None = None, **others: Any) -> Worker:
        """One that kills itself at `point`; `others` are of its `Setup`."""
        setup = Setup(
            kafka=self.kafka,
            topics=self.topics,
            settings=structs.replace(self.settings, metrics_port=metrics_port),
            diffs=diff_settings(self.root, lake),
            log=lake.with_suffix(".log"),
            notes=lake.with_suffix(".notes") if self._takes_notes else None,
            point=point,
            **others,
        )
        self._workers.append(Worker(setup))
        return self._workers[-1]

    def start_all(self, lake: Path, points: Sequence[str | None]) -> list[Worker]:
        """One each, and wait until the partitions are shared out between them."""
        ports = [free_port() for _ in points]
        workers = [self.start(lake, point, port) for point, port in zip(points, ports, strict=True)]
        self.wait_until(lambda: all(map(_is_ready, ports)), lake)
        return workers

    def complete(self, *jobs: DiffJob) -> None:
        """As their trainers say it."""
        records = [Published(each.run_id.encode(), encode(run_completed(each))) for each in jobs]
        publish_to(self.kafka, self.names.runs, records)

    def diffs(self) -> list[DiffCompleted | DiffFailed]:
        return [decode_diff(message.value() or b"") for message in read_topic(self.kafka, self.names.diffs)]

    def dead_letters(self) -> list[Message]:
        return list(read_topic(self.kafka, self.names.dead_letters))

    def committed(self) -> int:
        """Records that the group is done with, over all partitions."""
        consumer = Consumer(reader_config(self.kafka) | {"group.id": diff_group(self.topics)})
        try:
            partitions = [TopicPartition(self.names.runs, number) for number in range(self.topics.partitions)]
            return sum(max(each.offset, 0) for each in consumer.committed(partitions, timeout=30))
        finally:
            consumer.close()

    def leases(self) -> list[str]:
        """Held by anybody, on a diff or a base."""
        names = [str(key) for key in self._redis.scan_iter(f"{self.topics.topic_prefix}lease:*", count=1000)]
        return [name for name in names if not name.endswith(":token")]

    def is_done(self, runs: int) -> bool:
        """With all of that many that completed."""
        return not self.leases() and self.committed() == runs

    def notes(self, lake: Path) -> list[list[str]]:
        """The words of each line of what workers on `lake` have noted, in the order in which it was."""
        path = lake.with_suffix(".notes")
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def wait_until(self, condition: Callable[[], bool], lake: Path, look: Look = lambda: None) -> None:
        """A reader looks all the while, and once more at the end."""
        deadline = time.monotonic() + _DONE_WITHIN_SECONDS
        while not condition():
            look()
            assert time.monotonic() < deadline, f"it took too long:\n{lake.with_suffix('.log').read_text()}"
            time.sleep(0.3)
        look()

    def end(self, worker: Worker, lake: Path) -> None:
        """In order."""
        self.wait_until(lambda: heeds(worker.pid, signal.SIGTERM), lake)
        worker.terminate()
        self.wait_until(lambda: worker.exit_status is not None, lake)
        assert worker.exit_status == 0, lake.with_suffix(".log").read_text()

    def close(self) -> None:
        """Kill whoever still runs."""
        for worker in self._workers:
            worker.kill()
        self._redis.close()
        forget_topics(self.kafka, self.topics.topic_prefix)


def run_completed(job: DiffJob) -> RunCompleted:
    """What asks for `job`."""
    fields = {name: value for name, value in structs.asdict(job).items() if name != "completed_at"}
    return RunCompleted(ts=job.completed_at, **fields)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
