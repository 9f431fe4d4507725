"""A job is one worker's at a time, on a real Redis server, whatever happens to the worker or the server."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from producers.redis.client import RedisAway, connect
from streakline.processes import free_port, stop
from streakline.redis_server import start_redis
from workers.coordination.leases import Lease, Leases

_HOLD = """
import sys, time
from producers.redis.client import connect
from workers.coordination.leases import Leases
url, prefix, seconds = sys.argv[1:]
lease = Leases(connect(url), prefix, float(seconds)).acquire("run/0")
print("lost" if lease is None else lease.token, flush=True)
sys.stdin.readline()
print(lease.is_lost, lease.confirm(), flush=True)
"""


def hold(url: str, prefix: str, seconds: float) -> subprocess.Popen[str]:
    """A worker of its own that holds the lease, and says whether it still does when it is asked."""
    return subprocess.Popen(
        [sys.executable, "-c", _HOLD, url, prefix, str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ.copy(),
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_for_lease(leases: Leases, job: str = "run/0") -> Lease:
    deadline = time.monotonic() + 30
    while (lease := leases.acquire(job)) is None:
        assert time.monotonic() < deadline, "nobody lets go of it"
        time.sleep(0.05)
    return lease


def test_a_job_is_one_workers_until_it_lets_go(redis_url: str, prefix: str) -> None:
    one, two = (Leases(connect(redis_url), prefix, 10.0) for _ in range(2))
    with one.acquire("run/0") or pytest.fail("it was free") as lease:
        assert two.acquire("run/0") is None
        assert one.acquire("run/0") is None
        other = two.acquire("run/1")
        assert other is not None
        other.release()
        assert lease.confirm()
    second = two.acquire("run/0")
    assert second is not None
    assert second.token > lease.token
    second.release()


def test_a_hundred_workers_that_ask_at_once_get_one_lease(redis_url: str, prefix: str) -> None:
    leases = [Leases(connect(redis_url), prefix, 10.0) for _ in range(100)]
    given: list[Lease] = []

    def ask(each: Leases) -> None:
        if (lease := each.acquire("run/0")) is not None:
            given.append(lease)

    threads = [threading.Thread(target=ask, args=(each,)) for each in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 1
    given[0].release()


def test_a_lease_outlives_its_time_while_its_worker_lives(redis_url: str, prefix: str) -> None:
    one, two = (Leases(connect(redis_url), prefix, 1.0) for _ in range(2))
    lease = one.acquire("run/0")
    assert lease is not None
    for _ in range(25):
        time.sleep(0.1)
        assert two.acquire("run/0") is None
    assert not lease.is_lost
    lease.release()


def test_the_job_of_a_worker_that_was_killed_is_taken_over(redis_url: str, prefix: str) -> None:
    worker = hold(redis_url, prefix, 1.0)
    token = int(line(worker))
    worker.kill()
    worker.communicate()
    with wait_for_lease(Leases(connect(redis_url), prefix, 1.0)) as lease:
        assert lease.token > token


@pytest.mark.parametrize("is_over", [False, True])
def test_a_worker_that_was_paused_for_longer_than_its_lease_must_not_write(
    redis_url: str, prefix: str, is_over: bool
) -> None:
    """Nor where the one that took over has ended by then: it may have written."""
    worker = hold(redis_url, prefix, 1.0)
    assert int(line(worker)) > 0
    worker.send_signal(signal.SIGSTOP)
    lease = wait_for_lease(Leases(connect(redis_url), prefix, 30.0))
    if is_over:
        lease.release()
    worker.send_signal(signal.SIGCONT)
    said, _ = worker.communicate("now\n", timeout=30)
    assert said.split()[-1] == "False"
    if not is_over:
        assert lease.confirm()
        lease.release()


def test_a_worker_goes_on_when_redis_was_away_and_nobody_else_came(prefix: str, tmp_path: Path) -> None:
    port = free_port()
    server = start_redis(port, tmp_path / "redis.log")
    leases = Leases(connect(f"redis://127.0.0.1:{port}/0"), prefix, 1.0)
    try:
        lease = leases.acquire("run/0")
        assert lease is not None
        server.send_signal(signal.SIGSTOP)
        time.sleep(2)
        server.send_signal(signal.SIGCONT)
        assert lease.confirm()
        assert not lease.is_lost
        stop(server)
        with pytest.raises(RedisAway, match="STREAKLINE_REDIS_URL"):
            lease.confirm()
        with pytest.raises(RedisAway, match="STREAKLINE_REDIS_URL"):
            leases.acquire("run/1")
        lease.release()
        assert not lease.is_lost
    finally:
        stop(server)


def test_a_server_that_forgot_everything_lets_nobody_write_twice(redis_url: str, prefix: str) -> None:
    client = connect(redis_url)
    lease = Leases(client, prefix, 30.0).acquire("run/0")
    assert lease is not None
    client.delete(*client.keys(f"{prefix}*"))
    assert not lease.confirm()
    assert lease.is_lost
    lease.release()


def test_who_is_late_does_not_get_the_job_back_from_a_server_that_forgot_who_had_it(
    redis_url: str, prefix: str
) -> None:
    """Somebody else has had the job and let go of it since: that one's token is not the late one's."""
    worker = hold(redis_url, prefix, 1.0)
    assert int(line(worker)) > 0
    worker.send_signal(signal.SIGSTOP)
    client = connect(redis_url)
    client.delete(*client.keys(f"{prefix}*"))
    wait_for_lease(Leases(client, prefix, 30.0)).release()
    worker.send_signal(signal.SIGCONT)
    said, _ = worker.communicate("now\n", timeout=30)
    assert said.split()[-1] == "False"


@pytest.mark.parametrize("url", ["http://user:geheim@host", "", "127.0.0.1:6379"])
def test_an_address_that_is_none_is_told_of_without_its_password(url: str) -> None:
    with pytest.raises(RedisAway, match="it looks like redis://") as error:
        connect(url)
    assert "geheim" not in str(error.value)


def test_a_local_server_keeps_nothing_on_disk(tmp_path: Path) -> None:
    log = tmp_path / "redis.log"
    port = free_port()
    server = start_redis(port, log)
    try:
        assert connect(f"redis://127.0.0.1:{port}/0").set("a", "b")
    finally:
        stop(server)
    assert sorted(tmp_path.iterdir()) == [log]
