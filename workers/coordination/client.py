"""The one way to Redis."""

import redis

TIMEOUT_SECONDS = 5.0


class RedisAway(RuntimeError):
    """Redis cannot be used; the message is a sentence that holds no password."""


def connect(url: str) -> "redis.Redis":
    """A client for `url`; nothing is asked yet. Raises `RedisAway` where the URL cannot be one."""
    try:
        return redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            health_check_interval=30,
        )
    except ValueError:
        # Its own message may repeat the URL, and with it the password.
        raise RedisAway(
            "STREAKLINE_REDIS_URL is no Redis URL: it looks like redis://127.0.0.1:6379/0, "
            "rediss://user:password@host:6380/0 or unix:///run/redis.sock"
        ) from None


def reach(url: str) -> "redis.Redis | None":
    """A client for the server at `url`, where it answers at once. Raises `RedisAway` where the URL cannot be one."""
    client = connect(url)
    try:
        client.ping()
    except redis.RedisError:
        return None
    return client


def away(error: redis.RedisError) -> RedisAway:
    """The sentence for a server that does not answer, or refuses."""
    kind = type(error).__name__
    return RedisAway(f"Redis cannot be used ({kind}): start it, or set STREAKLINE_REDIS_URL")
