"""A lease on a job: one worker at a time has it, and a worker that was away for too long knows that it lost it.

Each lease has a fencing token, a number that grows with every worker that is given the job: whatever compares it
before it writes keeps a late writer out (M. Kleppmann, "How to do distributed locking", 2016). It grows also where the
server forgets everything: a token of before then must not be anybody's once more.
"""

import contextlib
import threading
import uuid
from collections.abc import Callable
from types import TracebackType

import redis

from producers.redis.client import away

# Keys: the holder's name under the lease, the latest token beside it.
_ACQUIRE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
local now = redis.call('TIME')
local token = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) + 1, now[1] * 1000000 + now[2])
redis.call('SET', KEYS[2], string.format('%.0f', token), 'EX', ARGV[3])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return token
"""
# A lease that ran out while Redis was the one that was away is taken again, where nobody had it since.
_EXTEND = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if holder == false and redis.call('GET', KEYS[2]) == ARGV[3] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return 0
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

_TOKEN_SECONDS = 7 * 24 * 3600
_HEARTBEATS_A_LEASE = 3


class Lease:
    """Held, and kept alive by a thread of its own, until it is released, lost, or the ``with`` block is left."""

    def __init__(self, client: "redis.Redis", key: str, holder: str, token: int, seconds: float) -> None:
        self.token = token
        self._holder = holder
        self._seconds = seconds
        self._keys = _keys(key)
        self._extend = client.register_script(_EXTEND)
        self._release = client.register_script(_RELEASE)
        self._lost = threading.Event()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{token}", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether another worker has, or may have, the job by what is known without asking."""
        return self._lost.is_set()

    def confirm(self) -> bool:
        """Ask Redis whether the lease is still ours, and extend it; False: what was done must not be written.

        Raises `RedisAway` where there is no answer.
        """
        try:
            held = bool(self._extend(self._keys, [self._holder, int(self._seconds * 1000), self.token]))
        except redis.RedisError as error:
            raise away(error) from None
        if not held:
            self._lost.set()
        return held

    def release(self) -> None:
        """Let the next worker have the job at once; where Redis is away it has it when the lease runs out."""
        self._released.set()
        self._thread.join()
        with contextlib.suppress(redis.RedisError):
            self._release(self._keys, [self._holder])

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.release()

    def _keep(self) -> None:
        while not self._released.wait(self._seconds / _HEARTBEATS_A_LEASE):
            # Without an answer the job goes on: its result is the same whoever writes it.
            with contextlib.suppress(redis.RedisError):
                if not self._extend(self._keys, [self._holder, int(self._seconds * 1000), self.token]):
                    self._lost.set()
                    return


class Leases:
    """Leases of one worker on jobs under one prefix."""

    def __init__(self, client: "redis.Redis", prefix: str, seconds: float) -> None:
        self.holder = uuid.uuid4().hex
        self._client = client
        self._prefix = prefix
        self._seconds = seconds
        self._acquire: Callable[..., int | None] = client.register_script(_ACQUIRE)

    def acquire(self, job: str) -> Lease | None:
        """The lease on `job`, or None where another worker has it. Raises `RedisAway`."""
        key = f"{self._prefix}lease:{job}"
        try:
            token = self._acquire(_keys(key), [self.holder, int(self._seconds * 1000), _TOKEN_SECONDS])
        except redis.RedisError as error:
            raise away(error) from None
        return None if token is None else Lease(self._client, key, self.holder, token, self._seconds)


def _keys(key: str) -> list[str]:
    return [key, f"{key}:token"]
