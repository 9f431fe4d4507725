"""The mirror against a real Redis: how long things are kept, what is said again, and its own defects survived."""

import contextlib
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from streakline.redis_server import running_redis
from stream_app.engine.state import RunState
from stream_app.live import KEPT_SECONDS, MAX_BATCHES, LivePoint, batches_key, index_key, run_key
from stream_app.metrics import StreamMetrics
from stream_app.mirror import Mirror
from stream_app.raw_records import RowKey
from stream_app.records import VERSION, RunRecord
from stream_app.run_news import RunNews, live_run
from tests.live_reading import LiveReader
from tests.worker import wait_until

PREFIX = "mirror."


@pytest.fixture
def redis_url() -> Iterator[str]:
    with running_redis() as url:
        yield url


@contextlib.contextmanager
def mirroring(url: str, *, limit: int = 10_000) -> Iterator[Mirror]:
    mirror = Mirror(url, PREFIX, limit, StreamMetrics("steps", "diffs", CollectorRegistry()))
    mirror.start()
    try:
        yield mirror
    finally:
        mirror.close()


def record(step: int, *, seen_at: float | None = None) -> RunRecord:
    return RunRecord(VERSION, RunState(attempt=0, last_step=step), time.time() if seen_at is None else seen_at)


def news(run_id: str, step: int, *, points: int = 1) -> dict[RowKey, RunNews]:
    stored = record(step)
    steps = [LivePoint(step - points + 1 + each, 1.0, 0.5) for each in range(points)]
    return {RowKey(0, run_id.encode()): RunNews(live_run(run_id, stored), stored.seen_at, steps)}


def test_what_is_said_again_is_of_the_latest_runs_and_is_gone_when_it_would_have_been(redis_url: str) -> None:
    reader, now = LiveReader(redis_url, PREFIX), time.time()
    ages = {"new": 0.0, "old": KEPT_SECONDS - 1_000.0, "older": KEPT_SECONDS - 900.0, "gone": KEPT_SECONDS + 1.0}
    stored = [(RowKey(0, run_id.encode()), record(7, seen_at=now - age)) for run_id, age in ages.items()]
    # Somebody that died long ago left it.
    reader.client.zadd(index_key(PREFIX), {"left": now - KEPT_SECONDS - 10})
    with mirroring(redis_url, limit=2) as mirror:
        mirror.recovered(lambda: stored)
        wait_until(lambda: reader.last_step("old") == 7)
    assert reader.index() == pytest.approx({"new": now, "old": now - ages["old"]})
    left = reader.client.ttl(run_key(PREFIX, "old"))
    assert isinstance(left, int)
    assert 900 < left <= 1_000
    assert reader.batches("new") == []


def test_what_is_shown_is_kept_for_a_day_and_is_no_more_than_the_newest_batches(redis_url: str) -> None:
    reader = LiveReader(redis_url, PREFIX)
    key = batches_key(PREFIX, "run")
    for _ in range(2 * MAX_BATCHES):
        reader.client.xadd(key, {"batch": "{}"})
    with mirroring(redis_url) as mirror:
        mirror.show(news("run", 10, points=8))
        wait_until(lambda: reader.last_step("run") == 10)
    kept = reader.client.xlen(key)
    assert isinstance(kept, int)
    # About: Redis drops what it holds together, a hundred at a time.
    assert 125 <= kept <= 225
    for name in (key, run_key(PREFIX, "run")):
        seconds = reader.client.ttl(name)
        assert isinstance(seconds, int)
        assert KEPT_SECONDS - 60 < seconds <= KEPT_SECONDS


def test_thousands_of_runs_are_shown_at_once(redis_url: str) -> None:
    reader = LiveReader(redis_url, PREFIX)
    with mirroring(redis_url) as mirror:
        for index in range(1_001):
            mirror.show(news(f"run-{index}", index))
        wait_until(lambda: len(reader.index()) == 1_001)
    assert {reader.last_step(f"run-{index}") == index for index in range(1_001)} == {True}


def test_what_waits_when_partitions_go_is_shown_at_once_and_what_could_not_be_is_dropped(redis_url: str) -> None:
    reader = LiveReader(redis_url, PREFIX)
    with mirroring(redis_url) as mirror:
        mirror.show(news("run", 1))
        mirror.revoked()
        wait_until(lambda: reader.last_step("run") == 1)
        mirror.show(news("another's", 1))
        mirror.recovered(lambda: [(RowKey(0, b"run"), record(2))])
        wait_until(lambda: reader.last_step("run") == 2)
    assert reader.run("another's") is None


def test_a_defect_of_ours_costs_what_is_shown_and_nothing_else(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    reader = LiveReader(redis_url, PREFIX)

    def broken() -> list[tuple[RowKey, RunRecord]]:
        raise OSError("the table is gone")

    with mirroring(redis_url) as mirror:
        for _ in range(2):
            mirror.recovered(broken)
            wait_until(lambda: not mirror._all_again.is_set())
        wait_until(lambda: "live runs could not be shown" in caplog.text)
        mirror.show(news("run", 1))
        wait_until(lambda: reader.last_step("run") == 1)
    assert caplog.text.count("could not be shown") == 1
