"""The base's measurement, from the lake or made: by one worker, while the others that need it wait for it."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from producers.redis.client import RedisAway
from workers.base_cache.index import BaseIndex, BaseUse
from workers.base_cache.key import BaseKey
from workers.base_cache.storage import DamagedEntry, Stored, read, write
from workers.coordination.leases import Leases
from workers.errors import TransientDiffError
from workers.lake.writer import Lake
from workers.measurement import Measurement

logger = logging.getLogger("streakline.diff")

_POLL_SECONDS = 1.0


class BaseCache:
    """Measurements kept in `lake`. Without `leases`, or Redis, two workers may measure the same base: only slower."""

    def __init__(self, lake: Lake, leases: Leases | None, index: BaseIndex | None) -> None:
        self._lake = lake
        self._leases = leases
        self._index = index

    def get_or_measure(
        self, key: BaseKey, base_model: str, measure: Callable[[], Measurement], wait: Callable[[], None]
    ) -> tuple[Measurement, bool]:
        """What is kept for `key`, and True; else what `measure` gives, kept from now on, and False.

        `base_model` is what people call it. `wait` is called every second while another worker measures. What it and
        `measure` raise goes through; a lake that fails is no error: the measurement is made, and not kept.
        """
        look = _Look(self._lake, key)
        stored = look()
        if stored is None:
            with self._turn(key, look, wait):
                # Another worker may have kept it just before.
                stored = look()
                if stored is None:
                    measurement = measure()
                    self._keep(key, base_model, measurement)
                    return measurement, False
        self._used(key, base_model, stored.bytes)
        return stored.measurement, True

    def _turn(self, key: BaseKey, look: "_Look", wait: Callable[[], None]) -> AbstractContextManager[object]:
        """The lease on measuring `key`; nothing, where it is kept by now or nobody gives leases."""
        if self._leases is None:
            return nullcontext()
        try:
            while (lease := self._leases.acquire(f"base/{key.digest}")) is None:
                wait()
                time.sleep(_POLL_SECONDS)
                if look() is not None:
                    return nullcontext()
        except RedisAway as error:
            logger.warning("%s: until then, several workers may measure the same base", error)
            return nullcontext()
        return lease

    def _keep(self, key: BaseKey, base_model: str, measurement: Measurement) -> None:
        # Whether or not the lease was lost meanwhile: whoever writes, it is whole, and the measurement of this key.
        try:
            size = write(self._lake, key, measurement)
        except (TransientDiffError, ValueError) as error:
            logger.warning("the measurement of %s is not kept, and made again next time: %s", base_model, error)
            return
        self._used(key, base_model, size)

    def _used(self, key: BaseKey, base_model: str, size: int) -> None:
        if self._index is not None:
            use = BaseUse(base_model=base_model, base_sha=key.base_sha, bytes=size, used_at=time.time())
            self._index.used(key.digest, use)


class _Look:
    """Looks for what is kept for `key`, and says only once what is wrong with it."""

    def __init__(self, lake: Lake, key: BaseKey) -> None:
        self._lake = lake
        self._key = key
        self._said = ""

    def __call__(self) -> Stored | None:
        """It, where it is to be used."""
        try:
            return read(self._lake, self._key)
        except (DamagedEntry, TransientDiffError) as error:
            if str(error) != self._said:
                self._said = str(error)
                logger.warning("what is kept in base_cache as %s is measured again: %s", self._key.digest, error)
            return None
