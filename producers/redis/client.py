"""The one way to Redis."""

import ssl

import redis

TIMEOUT_SECONDS = 5.0


_OF_CONNECTIONS: dict[type[BaseException], str] = {
    ssl.SSLCertVerificationError: (
        "its certificate has expired, is for another host, or comes from an authority that is not trusted here: set "
        "STREAKLINE_REDIS_URL to rediss://…?ssl_ca_certs=FILE"
    ),
    ssl.SSLError: "it wants a client's certificate: set STREAKLINE_REDIS_URL to rediss://…?ssl_certfile=…&ssl_keyfile=…",
    FileNotFoundError: "a file that STREAKLINE_REDIS_URL names cannot be read",
    PermissionError: "a file that STREAKLINE_REDIS_URL names cannot be read",
    # Also where the alert of a server that wants a certificate was lost with the connection.
    ConnectionResetError: (
        "start it; or set STREAKLINE_REDIS_URL to rediss://… where it wants TLS, and to "
        "rediss://…?ssl_certfile=…&ssl_keyfile=… where it wants a client's certificate"
    ),
}
"""the first kind that fits"""


class RedisAway(RuntimeError):
    """Redis cannot be used; the message is a sentence that holds no password."""


def connect(url: str) -> "redis.Redis":
    """A client for `url`; nothing is asked yet. Raises `RedisAway` where the URL cannot be one.

    Files for TLS are named in it: ``rediss://…?ssl_ca_certs=ca.pem&ssl_certfile=me.pem&ssl_keyfile=me.key``.
    """
    try:
        client = redis.Redis.from_url(
            url,
            decode_responses=True,
            # Anyone may write there, and what is no UTF-8 must not end whoever reads it.
            encoding_errors="replace",
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            health_check_interval=30,
        )
        # Looks at what stands behind the question mark, and connects to nothing.
        client.connection_pool.make_connection()
    except (TypeError, ValueError):
        # Its own message may repeat the URL, and with it the password.
        raise RedisAway(
            "STREAKLINE_REDIS_URL is no Redis URL: it looks like redis://127.0.0.1:6379/0, "
            "rediss://user:password@host:6380/0?ssl_ca_certs=ca.pem or unix:///run/redis.sock"
        ) from None
    return client


def reach(url: str) -> "redis.Redis | None":
    """A client for the server at `url`, where it answers at once. Raises `RedisAway` where the URL cannot be one."""
    client = connect(url)
    try:
        client.ping()
    except redis.RedisError:
        client.close()
        return None
    return client


def away(error: redis.RedisError) -> RedisAway:
    """The sentence for a server that does not answer, or refuses."""
    return RedisAway(f"Redis cannot be used ({type(error).__name__}): {remedy(error)}")


def remedy(error: redis.RedisError | OSError) -> str:
    """What to do about `error`."""
    if isinstance(error, redis.AuthenticationError):
        return "set the user and the password in STREAKLINE_REDIS_URL, as in redis://user:password@host:6379/0"
    if isinstance(error, redis.exceptions.NoPermissionError):
        return "give its user the permissions that docs/security-settings.md lists"
    # The client tells connections that fail from each other only by what its error was made of.
    for kind, sentence in _OF_CONNECTIONS.items():
        if isinstance(error.__context__, kind):
            return sentence
    return "start it, or set STREAKLINE_REDIS_URL"
