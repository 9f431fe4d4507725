"""Numbers to positions: what every drawing of the report needs. Lengths are CSS pixels, y grows downward."""

import math
from collections.abc import Iterable

from msgspec import Struct

PANEL = 268
"""width of a small multiple: four of them in a row of the page"""


class Scale(Struct, frozen=True):
    """A linear scale; what lies outside is drawn at its end."""

    low: float
    high: float
    start: float
    """where `low` is drawn"""
    end: float

    def at(self, value: float) -> float:
        """Where `value` is drawn, to a tenth of a pixel.

        >>> Scale(0, 1, 100, 0).at(0.25), Scale(0, 1, 0, 10).at(7.0)
        (75.0, 10.0)
        """
        share = min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))
        return round(self.start + share * (self.end - self.start), 1)


def around(values: Iterable[float], *, least: float) -> tuple[float, float]:
    """Ends of a scale on which all values lie: multiples of a round step, at least `least` apart.

    >>> around([0.61, 0.78], least=0.1), around([0.5], least=0.2), around([], least=1.0)
    ((0.6, 0.8), (0.4, 0.6), (0.0, 1.0))
    """
    known = list(values)
    if not known:
        return 0.0, least
    low, high = min(known), max(known)
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    step = round_step((high - low) / 4)
    return _multiple(math.floor(low / step + 1e-9), step), _multiple(math.ceil(high / step - 1e-9), step)


def ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Round values from `low` to `high`, at most so many.

    >>> ticks(0.6, 0.8, 5), ticks(0.0, 1.0, 3)
    ((0.6, 0.65, 0.7, 0.75, 0.8), (0.0, 0.5, 1.0))
    """
    step = round_step((high - low) / max(1, most - 1))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(_multiple(each, step) for each in range(first, last + 1))


def round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `least`.

    >>> round_step(0.03), round_step(0.5), round_step(7)
    (0.05, 0.5, 10.0)
    """
    power = 10.0 ** math.floor(math.log10(least))
    # A quotient that should be whole may come out a little above.
    return next(power * each for each in (1.0, 2.0, 2.5, 5.0, 10.0) if power * each >= least * (1 - 1e-9))


def path(points: Iterable[tuple[float, float]]) -> str:
    """An SVG path through the points.

    >>> path([(0, 1), (2.5, 3)])
    'M0 1L2.5 3'
    """
    return "".join(f"{'L' if index else 'M'}{x:g} {y:g}" for index, (x, y) in enumerate(points))


def _multiple(count: int, step: float) -> float:
    # 3 * 0.1 is not 0.3.
    return round(count * step, 10) + 0.0
