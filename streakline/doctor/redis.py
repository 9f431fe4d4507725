"""Asks Redis what it is, and whether it keeps what it is given."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from producers.redis.settings import RedisSettings
from streakline.doctor.findings import Finding, of_error, ok, warning, wrong

if TYPE_CHECKING:
    import redis

_SUBJECT = "redis"
_OLDEST = (5, 0)
"""which has streams, and scripts that may ask for the time before they write"""
_SKEW_SECONDS = 5.0


class RedisFacts(Struct, frozen=True, kw_only=True):
    """What a server says of itself; None where it may not be asked."""

    version: str | None
    max_bytes: int | None
    """0: no limit"""
    policy: str | None
    """what it does where that is reached"""
    skew_seconds: float | None
    """by which its clock is ahead of ours"""


def look_at_redis(settings: RedisSettings) -> Iterator[Finding]:
    """Whether it answers, and what it says of itself."""
    try:
        from redis import RedisError

        from producers.redis.client import RedisAway, away, connect
    except ImportError:
        yield warning(
            _SUBJECT, "it could not be asked: its client is not installed", "pip install 'streakline[stream]'"
        )
        return
    try:
        with connect(settings.redis_url) as client:
            client.ping()
            yield from judge_redis(_facts(client))
    except RedisError as error:
        yield of_error(_SUBJECT, away(error))
    except RedisAway as error:
        yield of_error(_SUBJECT, error)


def _facts(client: "redis.Redis") -> RedisFacts:
    from redis.exceptions import ResponseError

    try:
        told = client.info("server") | client.info("memory")
        seconds, microseconds = client.time()
    except ResponseError:
        # Its user may do what Streakline does, and nothing more.
        return RedisFacts(version=None, max_bytes=None, policy=None, skew_seconds=None)
    return RedisFacts(
        version=str(told.get("redis_version")),
        max_bytes=int(told.get("maxmemory", 0)),
        policy=str(told.get("maxmemory_policy")),
        skew_seconds=seconds + microseconds / 1e6 - time.time(),
    )


def judge_redis(facts: RedisFacts) -> Iterator[Finding]:
    """What there is to say of a server that answers. Pure."""
    if facts.version is None:
        yield ok(_SUBJECT, "it answers, and does not let this user ask more of it")
        return
    yield ok(_SUBJECT, f"it answers, as version {facts.version}")
    if _number(facts.version) < _OLDEST:
        yield wrong(_SUBJECT, f"version {facts.version} lacks commands that are used", "take 5.0 or later, or Valkey")
    if facts.max_bytes and facts.policy not in {None, "noeviction"}:
        yield warning(
            _SUBJECT,
            f"over {facts.max_bytes >> 20} MiB it throws keys away ({facts.policy}), leases too: diffs are made twice",
            "set maxmemory-policy to noeviction, or give Streakline a server of its own",
        )
    if facts.skew_seconds is not None and abs(facts.skew_seconds) > _SKEW_SECONDS:
        yield warning(
            _SUBJECT,
            f"its clock is {facts.skew_seconds:+.0f} s from ours: live runs look older or newer than they are",
            "set both by NTP",
        )


def _number(version: str) -> tuple[int, ...]:
    """Of a version's first two parts.

    >>> _number("7.2.4"), _number("unstable")
    ((7, 2), (0,))
    """
    parts = version.split(".")[:2]
    return tuple(int(part) if part.isdecimal() else 0 for part in parts)
