"""Where the Redis server is."""

from msgspec import Struct

from producers.settings import Secret


class RedisSettings(Struct, frozen=True, kw_only=True):
    """Each field is the environment variable ``STREAKLINE_<FIELD>``."""

    redis_url: Secret = "redis://127.0.0.1:6379/0"
    """with the password in it, where there is one"""


class NamedRedis(Struct, frozen=True, kw_only=True):
    """The server that the environment names, where it names one."""

    redis_url: Secret | None = None
