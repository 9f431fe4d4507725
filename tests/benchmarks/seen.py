"""The engine on made-up curves: how many of the runs are told of, and when."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from statistics import median
from typing import get_args

from msgspec import Struct

from producers.events import DetectorType, StepEvent
from stream_app.engine.replay import signals_of
from tests.benchmarks import curves
from tests.benchmarks.curves import ONSET, Curve

RUNS = 100
HEALTHY_RUNS = 20
"""of a thousand steps each"""


class Seen(Struct, frozen=True):
    """Of runs with a trouble."""

    runs: int
    delays: Sequence[int]
    """steps from the onset to the first signal, of each run that had one"""

    @property
    def share(self) -> str:
        """Of the runs that had one."""
        return percent(len(self.delays) / self.runs)

    @property
    def delay(self) -> str:
        """The median."""
        return f"{median(self.delays):.0f}"

    def __str__(self) -> str:
        return f"{self.share} ({self.delay})" if self.delays else self.share


@cache
def seen(kind: DetectorType, make: Callable[..., Curve], *arguments: float, runs: int = RUNS) -> Seen:
    """What `kind` says of `runs` runs of a curve; signals before the onset are none of it."""

    def delay(events: Iterable[StepEvent]) -> int | None:
        return next((s.step - ONSET for s in signals_of(events) if s.type == kind and s.step >= ONSET), None)

    curve = make(*arguments)
    delays = (delay(curve.steps(seed)) for seed in range(runs))
    return Seen(runs, [each for each in delays if each is not None])


@cache
def false_alarms(noise: float, spread: float) -> Mapping[str, int]:
    """Signals by type, of `HEALTHY_RUNS` runs that have no trouble at all."""
    counts: dict[str, int] = dict.fromkeys(get_args(DetectorType), 0)
    for seed in range(HEALTHY_RUNS):
        for signal in signals_of(curves.healthy(noise, spread).steps(seed)):
            counts[signal.type] += 1
    return counts


def percent(share: float) -> str:
    """
    >>> percent(0.05)
    '5 %'
    """
    return f"{100 * share:.0f} %"
