"""Redis fails in every way while diff workers work: no result is lost, none is there twice with other content."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.kafka import KafkaSettings
from producers.redis.client import connect, reach
from producers.topics import TopicSettings
from streakline.processes import free_port, stop
from streakline.redis_server import start_redis
from tests.diff_pool import reader
from tests.faults.cases import Case, Place
from tests.faults.diff_judged import judged
from tests.faults.diff_stage import RUNS, DiffStage, undisturbed
from tests.worker import wait_until
from workers.base_cache import BaseIndex
from workers.coordination.board import Board

ANY_CASE = Case("diff worker", "SIGKILL", "steady load", 0)


class Redis:
    """A server that can be hurt, on a port that stays the same."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """With nothing in it."""
        self._process = start_redis(self.port)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """And with it all that it holds."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            stop(self._process)


@pytest.fixture
def server() -> Iterator[Redis]:
    with contextlib.closing(Redis()) as server:
        yield server


@pytest.fixture
def stage(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, server: Redis) -> Iterator[DiffStage]:
    with DiffStage(ANY_CASE, Place(kafka, topics, tmp_path), server.url) as stage:
        yield stage


def assert_all_is_right(stage: DiffStage, server: Redis) -> None:
    """Once all is done; and what the server is for is there again."""
    wait_until(lambda: reach(server.url) is not None)
    stage.pool.wait_until(lambda: stage.pool.is_done(RUNS), stage.lake, reader(stage.lake, undisturbed()))
    figures = judged(stage.pool, stage.lake, undisturbed())
    assert figures.is_right, figures
    # Both workers may have made each of them, and a worker whose lease was lost may tell of its own again.
    assert figures.duplicates <= 2 * RUNS
    assert list(Board(connect(server.url), stage.pool.topics.topic_prefix).all()) == []


def test_it_is_gone_at_the_start_and_comes_later(stage: DiffStage, server: Redis) -> None:
    for _ in range(2):
        stage.worker()
    stage.complete(3)
    stage.pool.wait_until(lambda: stage.pool.committed() == 3, stage.lake)
    assert "working alone, without leases and progress" in stage.lake.with_suffix(".log").read_text()
    server.start()
    stage.complete()
    assert_all_is_right(stage, server)
    uses = BaseIndex(connect(server.url), stage.pool.topics.topic_prefix).all()
    assert len(uses) == 1, "the base is in the index once it is used again"


def test_it_is_killed_while_diffs_are_made_and_comes_back_empty(stage: DiffStage, server: Redis) -> None:
    server.start()
    for _ in range(2):
        stage.worker()
    stage.complete(RUNS - 1)
    stage.wait_for_work()
    server.kill()
    stage.complete()
    server.start()
    assert_all_is_right(stage, server)


def test_it_forgets_everything_while_diffs_are_made(stage: DiffStage, server: Redis) -> None:
    server.start()
    for _ in range(2):
        stage.worker()
    stage.complete(RUNS - 1)
    stage.wait_for_work()
    for _ in range(3):
        connect(server.url).flushall()
    stage.complete()
    assert_all_is_right(stage, server)


def test_it_stands_still_for_longer_than_a_lease_while_two_workers_compete(stage: DiffStage, server: Redis) -> None:
    server.start()
    for _ in range(2):
        stage.worker()
    stage.complete(RUNS - 1)
    stage.wait_for_work()
    server.send(signal.SIGSTOP)
    stage.complete()
    # Each question is given up only after some seconds; by then every lease there was has run out.
    wait_until(lambda: "cannot be used" in stage.lake.with_suffix(".log").read_text(), timeout_seconds=120)
    server.send(signal.SIGCONT)
    assert_all_is_right(stage, server)
