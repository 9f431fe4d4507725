"""A Redis that demands TLS, a certificate and a password, and gives no more permissions than the guide lists."""

import asyncio
import contextlib
import gc
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from producers.codec import encode
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.redis.client import RedisAway, away, connect, reach
from producers.topics import TopicSettings, topic_names
from streakline.dashboard.feed import RunFeed
from streakline.dashboard.live import LiveReader
from streakline.dashboard.overview import Overview
from streakline.dashboard.redis_client import async_client
from stream_app.live import LivePoint, batches_key
from stream_app.live_writer import LiveWriter, Shown
from stream_app.run_news import RunNews
from tests.certificates import Authority
from tests.commands import settings_environ
from tests.diff_pool import run_completed
from tests.diff_service import running_diff_service
from tests.guarded_redis import ADMIN_PASSWORD, PASSWORD, USER, GuardedRedis, guarded_redis, guides_configuration
from tests.live_writing import live_run
from tests.publishing import publish, publish_to
from tests.replayed import emitted, replayed
from tests.small_diffs import job, write_all
from tests.worker import running_worker, wait_until
from tests.workload import Published, fleet
from workers.base_cache.index import BaseIndex, BaseUse
from workers.coordination.board import Board, JobProgress
from workers.coordination.leases import Leases

PREFIX = "streakline."
GRANTED = re.findall(r" \+(\S+)", guides_configuration())


# redis.asyncio leaves connections open that were refused or cancelled, which is seen when they are collected: in the
# test that made them, then.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedRedis]:
    with guarded_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def admin(server: GuardedRedis) -> Iterator["redis.Redis"]:
    """One who may do anything; what was written by others is gone before and after."""
    client = connect(server.admin_url)
    client.flushall()
    acl(client, "LOG", "RESET")
    yield client
    client.flushall()
    client.close()


def acl(admin: "redis.Redis", *words: str) -> Any:
    return admin.execute_command("ACL", *words)  # type: ignore[no-untyped-call]


def denied(admin: "redis.Redis") -> set[str]:
    """Commands and keys that somebody was not let near, but for the client's own name and version."""
    log = acl(admin, "LOG")
    return {str(entry["object"]) for entry in log} - {"client|setinfo", "client|maint_notifications"}


def use_everything(url: str) -> None:
    """All that Streakline does in Redis, by the parts that do it; most of them keep refusals to themselves."""
    client = reach(url)
    assert client is not None
    with client:
        _use(client)
    asyncio.run(_look(url))


def _use(client: "redis.Redis") -> None:
    _lease(Leases(client, PREFIX, seconds=30.0))
    _show_diffs(Board(client, PREFIX))
    index = BaseIndex(client, PREFIX)
    index.used("ab" * 32, BaseUse(base_model="base", base_sha="cd", bytes=1, used_at=time.time()))
    index.all()
    index.forget("ab" * 32)
    assert LiveWriter(client, PREFIX).write([Shown(news())], time.time()) == 0


def news() -> RunNews:
    return RunNews(live_run("a"), time.time(), points=[LivePoint(1, 1.0, 1.0)])


def _lease(leases: Leases) -> None:
    with leases.acquire("run/0") or pytest.fail("nobody else has it") as lease:
        assert leases.acquire("run/0") is None
        assert lease.confirm()


def _show_diffs(board: Board) -> None:
    board.begin("run/0")
    board.show(JobProgress(run_id="a", attempt=0, stage="features", percent=1.0, eta_seconds=None, worker="w"))
    assert [each.run_id for each in board.all()] == ["a"]
    board.end("run/0")


async def _look(url: str) -> None:
    """As the dashboard does, at the list and at one run."""
    async with async_client(url) as client:
        overview = Overview()
        await LiveReader(client, PREFIX, overview).poll()
        assert overview.redis.state == "ok", overview.redis
        assert [diff.run_id for diff in overview.diffs] == ["a"]
        feed, more = RunFeed(client, batches_key(PREFIX, "a"), "a"), asyncio.Event()
        task = asyncio.create_task(feed.run())
        try:
            await feed.loaded()
            assert [entry.batch.points[0].step for entry in feed.entries] == [1]
            with feed.bell.heard_by(more), contextlib.closing(connect(url)) as another:
                LiveWriter(another, PREFIX).write([Shown(news())], time.time())
                async with asyncio.timeout(10):
                    await more.wait()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_the_guides_user_may_do_all_that_is_done(server: GuardedRedis, admin: "redis.Redis") -> None:
    use_everything(server.url())
    assert denied(admin) == set()


@pytest.mark.parametrize("command", [each for each in GRANTED if each != "ping"])
def test_each_permission_is_needed(command: str, server: GuardedRedis, admin: "redis.Redis") -> None:
    acl(admin, "SETUSER", USER, f"-{command}")
    # The server must not know the scripts of an earlier test, or nobody loads them.
    admin.script_flush()
    try:
        use_everything(server.url())
    except (AssertionError, RedisAway, redis.RedisError, TimeoutError):
        pass
    finally:
        acl(admin, "SETUSER", USER, f"+{command}")
    assert command in denied(admin)


def test_another_prefix_is_out_of_reach(server: GuardedRedis, admin: "redis.Redis") -> None:
    client = connect(server.url())
    admin.set("others", "secret")
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.get("others")
    board = Board(client, "others.")
    with pytest.raises(RedisAway, match=r"the permissions that docs/security-settings.md lists"):
        board.begin("run/0")
    client.close()


REFUSALS: dict[str, tuple[Callable[[GuardedRedis, Path], str], str]] = {
    "wrong password": (lambda it, _: it.url(password="wrong"), "set the user and the password"),
    "unknown user": (lambda it, _: it.url(user="nobody"), "set the user and the password"),
    "no TLS": (lambda it, _: it.url(scheme="redis"), "rediss://… where it wants TLS"),
    "wrong authority": (lambda it, folder: it.url(ca=Authority(folder / "other").ca), "ssl_ca_certs=FILE"),
    "another's certificate": (
        lambda it, folder: it.url(client=Authority(folder / "other").issue("streakline.example")),
        "ssl_certfile=…",
    ),
    "missing file": (lambda it, folder: it.url(ca=folder / "none.pem"), "names cannot be read"),
}


@pytest.mark.parametrize(("url", "told"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_a_sentence_with_the_remedy_and_without_the_password(
    url: Callable[[GuardedRedis, Path], str], told: str, server: GuardedRedis, tmp_path: Path
) -> None:
    where = url(server, tmp_path)
    with pytest.raises(redis.RedisError) as caught, contextlib.closing(connect(where)) as client:
        client.ping()
    said = str(away(caught.value))
    assert told in said
    assert "STREAKLINE_REDIS_URL" in said
    assert not [secret for secret in (PASSWORD, ADMIN_PASSWORD) if secret in said]
    assert reach(where) is None

    async def look() -> str:
        overview = Overview()
        async with async_client(where) as client:
            await LiveReader(client, PREFIX, overview).poll()
        return overview.redis.detail

    assert told in asyncio.run(look())


def test_options_of_a_url_that_nobody_knows_are_said_before_anything_is_asked(server: GuardedRedis) -> None:
    for url in (server.url().replace("ssl_ca_certs", "ssl_ca_cert"), "redis://:secret@127.0.0.1:1/0?ssl_ca_certs=x"):
        with pytest.raises(RedisAway, match=r"STREAKLINE_REDIS_URL is no Redis URL") as caught:
            connect(url)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("is_let_in", [True, False])
def test_workers_use_it_where_they_may_and_work_on_where_they_may_not(
    is_let_in: bool,
    kafka: KafkaSettings,
    topics: TopicSettings,
    server: GuardedRedis,
    admin: "redis.Redis",
    tmp_path: Path,
) -> None:
    acl(admin, "SETUSER", USER, f"~{topics.topic_prefix}*")
    names = topic_names(topics)
    url = server.url() if is_let_in else server.url(password="wr0ng-password")
    models = write_all(tmp_path / "models")
    environ = {**settings_environ(kafka, topics), "STREAKLINE_REDIS_URL": url}
    with (
        running_worker(kafka, topics, tmp_path / "data", redis_url=url) as worker,
        running_diff_service(tmp_path, models, environ) as service,
    ):
        publish(kafka, topics, fleet(runs=7, steps=60, layers=2))
        publish_to(kafka, names.runs, [Published(b"run-1", encode(run_completed(job(models))))])
        expected = replayed(kafka, topics)
        assert expected
        wait_until(lambda: emitted(kafka, topics) == expected, worker)
        wait_until(lambda: len(list(read_topic(kafka, names.diffs))) == 1, timeout_seconds=120)
        if is_let_in:
            # What is shown is shown from a thread beside the one that judges.
            wait_until(lambda: admin.zcard(f"{topics.topic_prefix}live:runs") == 7, worker)
            assert admin.exists(f"{topics.topic_prefix}lease:run-1/7:token")
        logs = (worker.log.read_text(), service.log.read_text())
    refusal = "Redis cannot be used (AuthenticationError): set the user and the password in STREAKLINE_REDIS_URL"
    assert [refusal in log for log in logs] == [not is_let_in] * 2
    assert not [secret for secret in (PASSWORD, "wr0ng-password") for log in logs if secret in log]
