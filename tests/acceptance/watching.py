"""What a diff takes: seconds of each stage, and the highest resident set."""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from workers.progress import Stage

T = TypeVar("T")


class Stretch(Struct):
    """One stage of one model."""

    stage: Stage
    began: float
    """seconds since the diff began"""
    told: float
    """when it was last heard of; what follows until the next one begins is comparing, or keeping what was measured"""
    share_began: float
    share_ended: float
    """of the whole, as the progress bar had it"""


class Watch:
    """A `Progress` that notes what it is told."""

    def __init__(self) -> None:
        self.stretches: list[Stretch] = []
        self.seconds = 0.0
        self.peak_mib = 0.0
        self._started = time.perf_counter()

    def __call__(self, stage: Stage, done: float, /) -> None:
        now = time.perf_counter() - self._started
        if not self.stretches or self.stretches[-1].stage != stage:
            self.stretches.append(Stretch(stage, now, now, done, done))
        last = self.stretches[-1]
        last.told, last.share_ended = now, done

    def run(self, work: Callable[[], T]) -> T:
        """Do `work`, and measure it."""
        # The highest resident set so far was another diff's; Linux forgets it when it is told to.
        Path("/proc/self/clear_refs").write_text("5")
        self._started = time.perf_counter()
        result = work()
        self.seconds = time.perf_counter() - self._started
        self.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return result

    @property
    def models_measured(self) -> int:
        """Two, or one where the base's half was kept from before."""
        return sum(stretch.stage == "loading" for stretch in self.stretches)
