"""When each kept measurement was last used, in Redis: what is not used for long may go, and people can be told."""

import contextlib

import msgspec
import redis
from msgspec import Struct
from redis.client import NEVER_DECODE

from producers.redis.client import away
from workers.base_cache.storage import DIGEST


class BaseUse(Struct, frozen=True, kw_only=True):
    """The last use of one kept measurement."""

    base_model: str
    """as that diff named it; empty where Redis has forgotten, until it is used again"""
    base_sha: str
    bytes: int
    used_at: float
    """Unix seconds"""


class BaseIndex:
    """Kept best effort: what Redis forgets is asked of the lake again, and a server that is away hinders nobody."""

    def __init__(self, client: "redis.Redis", prefix: str) -> None:
        self._client = client
        self._key = f"{prefix}base_cache"

    def used(self, digest: str, use: BaseUse) -> None:
        """The measurement kept under `digest` was written or read."""
        with contextlib.suppress(redis.RedisError):
            self._client.hset(self._key, digest, msgspec.json.encode(use).decode())

    def forget(self, digest: str) -> None:
        """It is gone."""
        with contextlib.suppress(redis.RedisError):
            self._client.hdel(self._key, digest)

    def all(self) -> dict[str, BaseUse]:
        """Digest → last use. Raises `RedisAway`; what is no use is left out: anyone may write to Redis."""
        try:
            # As bytes: one field that is no Unicode must not hide the others.
            fields: dict[bytes, bytes] = self._client.execute_command(  # type: ignore[no-untyped-call]
                "HGETALL", self._key, **{NEVER_DECODE: True}
            )
        except redis.RedisError as error:
            raise away(error) from None
        found: dict[str, BaseUse] = {}
        for field, value in fields.items():
            with contextlib.suppress(ValueError, RecursionError):
                use = msgspec.json.decode(value, type=BaseUse)
                if DIGEST.fullmatch(digest := field.decode()):
                    found[digest] = use
        return found
