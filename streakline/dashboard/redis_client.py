"""The event loop's way to Redis."""

import asyncio

from redis import asyncio as aioredis
from redis.exceptions import RedisError

from producers.redis.client import TIMEOUT_SECONDS, connect

CONNECTIONS = 300
"""at once: each open page of a run has one that waits"""
FAILURES = (RedisError, OSError)


def async_client(url: str) -> "aioredis.Redis":
    """A client for `url` that leaves bytes as they are; nothing is asked yet. Raises `RedisAway` for what is no URL."""
    # The one place that knows what to say of a bad one; it asks nothing either.
    connect(url).close()
    return aioredis.Redis.from_url(
        url,
        protocol=2,
        max_connections=CONNECTIONS,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
    )


def heed_cancellation() -> None:
    """End this task where it was cancelled; to be called once Redis's client is done, which may keep that to itself.

    While the client connects it takes the CancelledError for a failure, and tries again.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
