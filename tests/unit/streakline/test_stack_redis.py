"""Which Redis a local stack has."""

import socket

import pytest

from streakline import stack_redis
from streakline.redis_server import RedisServerError
from streakline.stack_redis import LocalRedis, StackRedisSettings, local_redis


def chosen(settings: StackRedisSettings) -> tuple[LocalRedis | None, list[str]]:
    said: list[str] = []
    return local_redis(settings, say=said.append), said


def test_one_of_its_own_on_a_free_port() -> None:
    redis, said = chosen(StackRedisSettings(port=0))
    assert redis is not None
    assert redis.url == f"redis://127.0.0.1:{redis.port}/0"
    assert said == []


def test_none_where_there_is_one_already() -> None:
    assert chosen(StackRedisSettings(url="redis://elsewhere:1/0")) == (None, [])


def test_a_port_that_is_taken_is_left_to_whoever_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        redis, said = chosen(StackRedisSettings(port=port))
    assert redis is not None
    assert said == [f"port {port} is taken: redis listens on {redis.port}"]


def test_what_is_not_installed_is_said_and_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(port: int) -> list[str]:
        raise RedisServerError(f"none for port {port > 0}: install it")

    monkeypatch.setattr(stack_redis, "redis_command", refused)
    assert chosen(StackRedisSettings()) == (
        None,
        ["no Redis, so neither live runs nor progress of diffs are shown: none for port True: install it"],
    )
