"""The diff worker on a real broker and a real Redis server: no job is lost, none is done twice at once."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Message

from producers.codec import decode_diff, encode
from producers.events import DiffCompleted, DiffFailed, RunCompleted, RunFailed, RunStarted
from producers.kafka import KafkaSettings
from producers.partitioner import partition_of
from producers.reader import read_topic
from producers.redis.client import connect
from producers.settings import to_environ
from producers.topics import TopicSettings, ensure_topics, topic_names
from streakline.processes import free_port, spawn, stop
from tests.clusters import topics_under
from tests.publishing import publish_to
from tests.record_batches import ZSTD, batch, bomb, produce
from tests.worker import header
from tests.workload import Published
from workers.coordination.board import Board
from workers.settings import DiffWorkerSettings


class Pool:
    """Workers that share topics, a Redis server and a folder."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, redis_url: str, folder: Path) -> None:
        self.kafka, self.topics, self.redis_url, self.folder = kafka, topics, redis_url, folder
        self.names = topic_names(topics)
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self) -> "subprocess.Popen[bytes]":
        settings = DiffWorkerSettings(
            redis_url=self.redis_url, lease_seconds=2.0, session_timeout_seconds=6.0, diff_retry_seconds=0.2
        )
        environ = {**to_environ(settings), **to_environ(self.kafka), **to_environ(self.topics)}
        command = [sys.executable, "-m", "tests.diff_worker_double", str(self.folder)]
        log = self.folder / f"worker-{len(self.workers)}"
        self.workers.append(spawn(command, log=log, environ=environ))
        return self.workers[-1]

    def complete(self, *runs: str) -> None:
        """Each is ``name:kind``."""
        events = [
            RunCompleted(run_id=name, ts=1.0, steps=3, base_model="base", checkpoint=kind, project="p")
            for name, kind in (run.split(":") for run in runs)
        ]
        publish_to(self.kafka, self.names.runs, [Published(e.run_id.encode(), encode(e)) for e in events])

    def results(self) -> list[DiffCompleted | DiffFailed]:
        return [decode_diff(message.value() or b"") for message in read_topic(self.kafka, self.names.diffs)]

    def completed(self) -> list[str]:
        """Told of; after a rebalance perhaps twice, with the same `diff_id`."""
        return sorted({each.run_id for each in self.results() if isinstance(each, DiffCompleted)})

    def failures(self) -> dict[str, DiffFailed]:
        return {each.run_id: each for each in self.results() if isinstance(each, DiffFailed)}

    def dead_letters(self) -> list[Message]:
        return list(read_topic(self.kafka, self.names.dead_letters))

    def log(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def said(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("worker-*")))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 90
        while not condition():
            assert time.monotonic() < deadline, f"it took too long: {self.log()}\n{self.said()}"
            time.sleep(0.2)


@pytest.fixture
def pool(kafka: KafkaSettings, topics: TopicSettings, redis_url: str, tmp_path: Path) -> Iterator[Pool]:
    with _closing(Pool(kafka, topics, redis_url, tmp_path)) as pool:
        yield pool


@contextlib.contextmanager
def _closing(pool: Pool) -> Iterator[Pool]:
    try:
        yield pool
    finally:
        for worker in pool.workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(signal.SIGCONT)
            stop(worker)


def test_a_worker_that_reads_no_further_for_now_reads_on_after_a_rebalance(
    kafka: KafkaSettings, topic_prefix: str, redis_url: str, tmp_path: Path
) -> None:
    topics = topics_under(topic_prefix, partitions=1)
    ensure_topics(kafka, topics)
    with _closing(Pool(kafka, topics, redis_url, tmp_path)) as pool:
        pool.complete("first:slow")
        # None of them is committed before the first, and so they count as read ahead.
        started = [RunStarted(run_id="other", ts=float(number)) for number in range(600)]
        publish_to(kafka, pool.names.runs, [Published(b"other", encode(each)) for each in started])
        pool.complete("last:good")
        pool.start()
        pool.wait_until(lambda: "begin first" in pool.log())
        other = pool.start()
        pool.wait_until(lambda: pool.completed() == ["first", "last"])
        # Whichever had the partition, it is the first one's now.
        stop(other)
        pool.complete("late:good")
        pool.wait_until(lambda: pool.completed() == ["first", "last", "late"])


def test_every_completed_run_is_diffed_once_and_nothing_else_is(pool: Pool) -> None:
    others: list[RunStarted | RunFailed | RunCompleted] = [
        RunStarted(run_id="a", ts=0.0),
        RunFailed(run_id="b", ts=0.0, error="x"),
        RunCompleted(run_id="c", ts=0.0, steps=1),
    ]
    publish_to(pool.kafka, pool.names.runs, [Published(each.run_id.encode(), encode(each)) for each in others])
    publish_to(pool.kafka, pool.names.runs, [Published(b"x", b"{"), Published(None, b"")])
    runs = [f"run-{number}" for number in range(20)]
    pool.complete(*(f"{run}:good" for run in runs))
    worker = pool.start()
    pool.wait_until(lambda: pool.completed() == sorted(runs))
    letters = pool.dead_letters()
    assert sorted(each.value() or b"" for each in letters) == [b"", b"{"]
    assert {header(each, "source-topic") for each in letters} == {pool.names.runs}
    worker.terminate()
    assert worker.wait(30) == 0
    pool.complete("later:good")
    pool.start()
    pool.wait_until(lambda: "later" in pool.completed())
    assert sorted(each.run_id for each in pool.results()) == sorted([*runs, "later"])


def test_batches_that_cannot_be_decompressed_hold_no_partition_up(pool: Pool) -> None:
    """Apache Kafka refuses what is no zstd at all."""
    partition = partition_of(b"good", pool.topics.partitions)
    bombs = [batch(bomb(ZSTD, 300), ZSTD), batch(b"rubbish", ZSTD, count=2)]
    taken = [raw for raw in bombs if produce(pool.kafka, pool.names.runs, partition, raw) == 0]
    assert taken
    pool.complete("good:good")
    pool.start()
    pool.wait_until(lambda: pool.completed() == ["good"])
    letters = pool.dead_letters()
    assert {header(each, "reason") for each in letters} == {"not_json"}
    offsets = sorted((header(each, "source-partition"), int(header(each, "source-offset"))) for each in letters)
    assert offsets == [(str(partition), offset) for offset in range(3 if len(taken) == 2 else 1)]
    assert all("ecompress" in header(each, "detail") for each in letters)


def test_a_diff_that_cannot_be_made_is_told_of_and_kept(pool: Pool) -> None:
    pool.complete("bad:bad", "flaky:flaky", "defect:defect", "good:good")
    pool.start()
    pool.wait_until(lambda: len(pool.results()) == 4)
    assert pool.completed() == ["flaky", "good"]
    failures = pool.failures()
    assert failures["bad"].reason == "checkpoint_invalid"
    assert failures["bad"].error == "this is no checkpoint: make a better one"
    assert failures["defect"].reason == "internal"
    assert sorted((header(each, "reason"), each.key()) for each in pool.dead_letters()) == [
        ("checkpoint_invalid", b"bad"),
        ("internal", b"defect"),
    ]
    assert pool.log().count("begin bad") == 1
    assert pool.log().count("begin defect") == 3


def test_a_job_that_takes_its_worker_down_is_given_up(pool: Pool) -> None:
    pool.complete("deadly:deadly")
    for _ in range(3):
        worker = pool.start()
        assert worker.wait(60) == 9
    pool.start()
    pool.wait_until(lambda: "deadly" in pool.failures())
    assert pool.failures()["deadly"].reason == "worker_died"
    assert pool.log() == ["begin deadly"] * 3


def test_the_job_of_a_worker_that_was_killed_is_taken_over(pool: Pool) -> None:
    one = pool.start()
    pool.complete("slow:slow")
    pool.wait_until(lambda: pool.log() == ["begin slow"])
    board = Board(connect(pool.redis_url), pool.topics.topic_prefix)
    pool.wait_until(lambda: [(each.run_id, each.percent) for each in board.all()] == [("slow", 50.0)])
    pool.start()
    one.kill()
    pool.wait_until(lambda: pool.completed() == ["slow"])
    assert pool.log() == ["begin slow", "begin slow", "end slow"]
    pool.wait_until(lambda: list(board.all()) == [])


def test_a_worker_that_is_asked_to_end_hands_its_job_back(pool: Pool) -> None:
    one = pool.start()
    pool.complete("slow:slow")
    pool.wait_until(lambda: pool.log() == ["begin slow"])
    one.terminate()
    assert one.wait(30) == 0
    assert pool.log() == ["begin slow"]
    pool.start()
    pool.wait_until(lambda: pool.completed() == ["slow"])


def test_a_worker_that_was_paused_beyond_its_lease_writes_nothing(pool: Pool) -> None:
    one = pool.start()
    pool.complete("slow:slow")
    pool.wait_until(lambda: pool.log() == ["begin slow"])
    one.send_signal(signal.SIGSTOP)
    pool.start()
    pool.wait_until(lambda: pool.log() == ["begin slow", "begin slow"])
    one.send_signal(signal.SIGCONT)
    pool.wait_until(lambda: pool.completed() == ["slow"])
    assert pool.log() == ["begin slow", "begin slow", "end slow"]


def test_two_workers_never_do_one_job_at_once(pool: Pool) -> None:
    runs = [f"run-{number}" for number in range(12)]
    pool.start()
    pool.complete(*(f"{run}:good" for run in runs[:6]))
    second = pool.start()
    pool.complete(*(f"{run}:good" for run in runs[6:]), "slow-1:slow", "slow-2:slow")
    pool.wait_until(lambda: any("slow" in line for line in pool.log()))
    second.kill()
    pool.wait_until(lambda: set(pool.completed()) == {*runs, "slow-1", "slow-2"})
    by_id = {each.diff_id for each in pool.results() if isinstance(each, DiffCompleted)}
    assert len(by_id) == 14
    open_jobs: set[str] = set()
    for line in pool.log():
        kind, run = line.split()
        open_jobs = open_jobs | {run} if kind == "begin" else open_jobs - {run}
    assert not open_jobs
    ends = [line for line in pool.log() if line.startswith("end")]
    assert len(ends) == len(set(ends)) == 14


def test_without_redis_it_works_alone_and_says_so(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> None:
    pool = Pool(kafka, topics, f"redis://127.0.0.1:{free_port()}/0", tmp_path)
    worker = pool.start()
    try:
        pool.complete("one:good", "two:bad")
        pool.wait_until(lambda: len(pool.results()) == 2)
        assert pool.said().count("working alone, without leases and progress") == 1
    finally:
        stop(worker)
