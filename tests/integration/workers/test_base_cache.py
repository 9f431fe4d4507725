"""Workers that need the same base measure it once, on a real Redis server, whatever happens to one of them."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.redis.client import RedisAway, connect
from streakline.processes import free_port, stop
from streakline.redis_server import start_redis
from tests.unit.workers.base_cache.measurements import bits, folder, key, measurement
from workers.base_cache import BaseCache, BaseIndex, prune
from workers.base_cache.storage import read, write
from workers.coordination.leases import Lease, Leases
from workers.errors import DiffCancelled, DiffError
from workers.lake.writer import Lake
from workers.measurement import Measurement

KEY = key()
LEASE = f"base/{KEY.digest}"
NOW = 1_800_000_000.0

# A worker of its own that says when it measures, and goes on when it is told to.
_WORKER = """
import sys
from producers.redis.client import connect
from tests.unit.workers.base_cache.measurements import key, measurement
from workers.base_cache import BaseCache
from workers.coordination.leases import Leases
from workers.lake.writer import Lake
url, prefix, lake, seconds = sys.argv[1:]
def measure():
    print("measuring", flush=True)
    sys.stdin.readline()
    return measurement(seed=7)
cache = BaseCache(Lake(lake), Leases(connect(url), prefix, float(seconds)), None)
print(cache.get_or_measure(key(), "base", measure, lambda: None)[1], flush=True)
"""


@pytest.fixture(autouse=True)
def _ask_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.base_cache.cache._POLL_SECONDS", 0.02)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def cache_of(url: str, prefix: str, lake: Path) -> BaseCache:
    client = connect(url)
    return BaseCache(Lake(str(lake)), Leases(client, prefix, 30.0), BaseIndex(client, prefix))


def worker(url: str, prefix: str, lake: Path, lease_seconds: float) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER, url, prefix, str(lake), str(lease_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path.cwd(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "measuring\n"
    return process


def never_measured() -> Measurement:
    pytest.fail("another worker has measured it")


def never_waited() -> None:
    pytest.fail("there is nobody to wait for")


def held(url: str, prefix: str) -> Lease:
    lease = Leases(connect(url), prefix, 30.0).acquire(LEASE)
    assert lease is not None
    return lease


def once(action: Callable[[], object]) -> Callable[[], None]:
    """A `wait` that acts the first time."""
    left = [action]

    def wait() -> None:
        if left:
            left.pop()()

    return wait


def test_workers_that_ask_at_once_measure_once(redis_url: str, prefix: str, lake: Path) -> None:
    waiting = threading.Event()
    measured: list[Measurement] = []
    found: list[tuple[Measurement, bool]] = []
    at_once = threading.Barrier(4)

    def measure() -> Measurement:
        assert waiting.wait(30), "nobody waits"
        measured.append(measurement())
        return measured[-1]

    def ask() -> None:
        cache = cache_of(redis_url, prefix, lake)
        at_once.wait()
        found.append(cache.get_or_measure(KEY, "base", measure, waiting.set))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(measured) == 1
    assert sorted(was_kept for _, was_kept in found) == [False, True, True, True]
    assert {bits(each) for each, _ in found} == {bits(measured[0])}
    held(redis_url, prefix).release()


def test_other_bases_are_measured_meanwhile(redis_url: str, prefix: str, lake: Path) -> None:
    with held(redis_url, prefix):
        other = cache_of(redis_url, prefix, lake).get_or_measure(key(base_sha="ff"), "other", measurement, never_waited)
    assert not other[1]


def test_a_worker_waits_for_what_another_process_measures(redis_url: str, prefix: str, lake: Path) -> None:
    process = worker(redis_url, prefix, lake, 30.0)

    def go_on() -> None:
        assert process.stdin is not None
        process.stdin.write("now\n")
        process.stdin.flush()

    found, was_kept = cache_of(redis_url, prefix, lake).get_or_measure(KEY, "base", never_measured, once(go_on))
    said, _ = process.communicate(timeout=60)
    assert said == "False\n"
    assert was_kept
    assert bits(found) == bits(measurement(seed=7))


def test_a_worker_that_was_killed_is_taken_over_from(redis_url: str, prefix: str, lake: Path) -> None:
    process = worker(redis_url, prefix, lake, 1.0)
    own = measurement(seed=8)
    found = cache_of(redis_url, prefix, lake).get_or_measure(KEY, "base", lambda: own, once(process.kill))
    process.communicate(timeout=60)
    assert found == (own, False)
    again, was_kept = cache_of(redis_url, prefix, lake).get_or_measure(KEY, "base", never_measured, never_waited)
    assert was_kept
    assert bits(again) == bits(own)


@pytest.mark.parametrize("error", [DiffError("out_of_memory", "It is too large."), DiffCancelled(), KeyError("x")])
def test_a_worker_that_fails_lets_the_next_one_try(redis_url: str, prefix: str, lake: Path, error: Exception) -> None:
    def fail() -> Measurement:
        raise error

    with pytest.raises(type(error)) as raised:
        cache_of(redis_url, prefix, lake).get_or_measure(KEY, "base", fail, never_waited)
    assert raised.value is error
    assert not cache_of(redis_url, prefix, lake).get_or_measure(KEY, "base", measurement, never_waited)[1]


def test_who_waits_can_be_stopped(redis_url: str, prefix: str, lake: Path) -> None:
    def stop_it() -> None:
        raise DiffCancelled

    with held(redis_url, prefix) as lease:
        with pytest.raises(DiffCancelled):
            cache_of(redis_url, prefix, lake).get_or_measure(KEY, "base", never_measured, stop_it)
        assert lease.confirm()


def test_what_was_kept_between_looking_and_the_lease_is_used(redis_url: str, prefix: str, lake: Path) -> None:
    class JustBefore(Leases):
        def acquire(self, job: str) -> Lease | None:
            write(Lake(str(lake)), KEY, measurement())
            return super().acquire(job)

    cache = BaseCache(Lake(str(lake)), JustBefore(connect(redis_url), prefix, 10.0), None)
    assert cache.get_or_measure(KEY, "base", never_measured, never_waited)[1]
    held(redis_url, prefix).release()


def test_what_was_measured_without_the_lease_by_then_is_kept_too(redis_url: str, prefix: str, lake: Path) -> None:
    client = connect(redis_url)

    def measure() -> Measurement:
        client.delete(*client.keys(f"{prefix}lease:*"))
        held(redis_url, prefix)
        return measurement()

    assert not cache_of(redis_url, prefix, lake).get_or_measure(KEY, "base", measure, never_waited)[1]
    assert cache_of(redis_url, prefix, lake).get_or_measure(KEY, "base", never_measured, never_waited)[1]


def test_it_is_said_once_that_what_is_kept_is_damaged(
    redis_url: str, prefix: str, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(Lake(str(lake)), KEY, measurement())
    for path in folder(lake, KEY).glob("layers-*"):
        path.unlink()
    lease = held(redis_url, prefix)
    waits = 0

    def wait() -> None:
        nonlocal waits
        waits += 1
        if waits == 5:
            lease.release()

    assert not cache_of(redis_url, prefix, lake).get_or_measure(KEY, "base", measurement, wait)[1]
    assert waits >= 5
    (said,) = (record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    assert "is missing" in said
    assert read(Lake(str(lake)), KEY) is not None


def test_without_redis_a_worker_measures_by_itself(
    prefix: str, lake: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    server = start_redis(port, tmp_path / "redis.log")
    try:
        lease = held(url, prefix)
        cache = cache_of(url, prefix, lake)
        assert not cache.get_or_measure(KEY, "base", measurement, once(lambda: stop(server)))[1]
        lease.release()
    finally:
        stop(server)
    assert cache.get_or_measure(KEY, "base", never_measured, never_waited)[1]
    (said,) = (record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    assert "STREAKLINE_REDIS_URL" in said
    with pytest.raises(RedisAway, match="STREAKLINE_REDIS_URL"):
        BaseIndex(connect(url), prefix).all()
    with pytest.raises(RedisAway, match="STREAKLINE_REDIS_URL"):
        prune(Lake(str(lake)), BaseIndex(connect(url), prefix), 0.0, NOW)
    assert read(Lake(str(lake)), KEY) is not None


def test_every_use_is_noted(redis_url: str, prefix: str, lake: Path) -> None:
    index = BaseIndex(connect(redis_url), prefix)
    assert index.all() == {}
    before = time.time()
    for name in ("org/base", "/models/base"):
        cache_of(redis_url, prefix, lake).get_or_measure(KEY, name, measurement, never_waited)
        ((digest, use),) = index.all().items()
        assert digest == KEY.digest
        assert (use.base_model, use.base_sha) == (name, KEY.base_sha)
        assert use.bytes == sum(path.stat().st_size for path in folder(lake, KEY).glob("*.parquet"))
        assert before <= use.used_at <= time.time()
        before = use.used_at
    index.forget(digest)
    assert index.all() == {}


def test_another_kind_of_key_hinders_no_worker(redis_url: str, prefix: str, lake: Path) -> None:
    client = connect(redis_url)
    client.set(f"{prefix}base_cache", "in the way")
    cache_of(redis_url, prefix, lake).get_or_measure(KEY, "base", measurement, never_waited)
    assert cache_of(redis_url, prefix, lake).get_or_measure(KEY, "base", never_measured, never_waited)[1]
    with pytest.raises(RedisAway):
        BaseIndex(client, prefix).all()


def test_whoever_prunes_meanwhile_nobody_gets_anything_else(redis_url: str, prefix: str, lake: Path) -> None:
    found: list[bytes] = []
    is_over = threading.Event()

    def ask() -> None:
        cache = cache_of(redis_url, prefix, lake)
        given = (cache.get_or_measure(KEY, "base", measurement, lambda: None) for _ in range(20))
        found.extend(bits(measured) for measured, _ in given)

    def prune_all() -> None:
        index = BaseIndex(connect(redis_url), prefix)
        while not is_over.is_set():
            prune(Lake(str(lake)), index, -1.0, time.time() + 10)

    pruning = threading.Thread(target=prune_all)
    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in (pruning, *asking):
        thread.start()
    for thread in asking:
        thread.join()
    is_over.set()
    pruning.join()
    assert len(found) == 60
    assert set(found) == {bits(measurement())}
