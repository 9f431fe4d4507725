"""A diff worker that fails on every run stops, however often it is started, and a good one goes on where it stopped."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.events import DiffFailed
from producers.kafka import KafkaSettings
from producers.settings import to_environ
from producers.topics import TopicSettings
from streakline.processes import spawn, stop
from tests.integration.workers.test_diff_worker import Pool, _closing
from workers.settings import DiffWorkerSettings

BAD_DEPLOY = """
import workers.diff
from streakline.cli.main import main

def make(self, job, progress):
    raise ZeroDivisionError("a bad deploy")

workers.diff.DiffMaker.__call__ = make
main()
"""
EXIT_FAILED = 70


@pytest.fixture
def pool(kafka: KafkaSettings, topics: TopicSettings, redis_url: str, tmp_path: Path) -> Iterator[Pool]:
    with _closing(Pool(kafka, topics, redis_url, tmp_path)) as pool:
        yield pool


def status_of_bad_deploy(pool: Pool, log: Path) -> int:
    """With which it ended."""
    settings = DiffWorkerSettings(
        redis_url=pool.redis_url,
        session_timeout_seconds=6.0,
        diff_retry_seconds=0.01,
        diff_attempts=2,
        max_consecutive_failures=3,
    )
    environ = {name: value for each in (settings, pool.kafka, pool.topics) for name, value in to_environ(each).items()}
    own = {"STREAKLINE_LAKE": str(pool.folder / "lake"), "STREAKLINE_DEVICE": "cpu"}
    process = spawn([sys.executable, "-c", BAD_DEPLOY, "diff-worker"], log=log, environ=environ | own)
    try:
        return process.wait(200)
    finally:
        stop(process)


def test_a_bad_deploy_stops_and_the_good_one_makes_what_it_left(pool: Pool) -> None:
    runs = [f"run-{number}" for number in range(8)]
    pool.complete(*(f"{run}:good" for run in runs))
    for count in (3, 4):
        log = pool.folder / f"bad-{count}"
        assert status_of_bad_deploy(pool, log) == EXIT_FAILED, log.read_text()
        (said,) = (line for line in log.read_text().splitlines() if line.startswith("streakline: "))
        assert f": {count} model diffs in a row failed through no fault of their runs, the last, of run-" in said
        assert "STREAKLINE_MAX_CONSECUTIVE_FAILURES (3)" in said
    # Two of the first start; the second knows of them, and stops at the first that it fails on.
    failed = {each.run_id for each in pool.results() if isinstance(each, DiffFailed)}
    assert len(failed) == 2
    assert {letter.key() for letter in pool.dead_letters()} == {run.encode() for run in failed}

    pool.start()
    pool.wait_until(lambda: set(pool.completed()) == set(runs) - failed)
    assert len(pool.dead_letters()) == 2
