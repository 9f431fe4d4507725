"""Which points of long columns a plot keeps, so that every spike and every gap is still there. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

LONGEST = 4000
"""points of a timeline; a screen has fewer across"""

Column = Sequence[float | None]
"""finite numbers; None where there is none, which a plot leaves a gap for"""


def kept(columns: Sequence[Column], marked: Iterable[int] = (), longest: int = LONGEST) -> list[int]:
    """The places that are kept, ascending, of `columns` that are equally long.

    Up to `longest` places are all kept. Of more, what is kept is the first and the last, those that are `marked`, and
    of each column in each bucket the lowest, the highest, and both sides of the first and the last edge of a gap. There
    are as many buckets of equal length as fit: `longest` holds unless so much is marked that one bucket is too many.

    >>> kept([[1.0] * 50 + [9.0] + [1.0] * 49], longest=5)
    [0, 50, 99]
    """
    length = len(columns[0])
    if length <= longest:
        return list(range(length))
    always = {0, length - 1, *marked}
    n_buckets = max(1, (longest - len(always)) // (2 * len(columns)))
    while True:
        found = always.union(*(_notable(columns, start, stop) for start, stop in buckets(length, n_buckets)))
        if len(found) <= longest or n_buckets == 1:
            return sorted(found)
        # Gaps: what a bucket may keep is far more than the two extremes that it mostly does.
        n_buckets = n_buckets * 3 // 4


def buckets(length: int, n: int) -> Iterator[tuple[int, int]]:
    """[start, stop) of `n` buckets, none empty where `length` ≥ `n`.

    >>> list(buckets(10, 3))
    [(0, 3), (3, 6), (6, 10)]
    """
    bounds = [length * number // n for number in range(n + 1)]
    yield from pairwise(bounds)


def _notable(columns: Sequence[Column], start: int, stop: int) -> set[int]:
    """The places of that bucket that are kept, and the one before it where a gap begins or ends between them."""
    found: set[int] = set()
    for column in columns:
        part = column[start:stop]
        numbers = [value for value in part if value is not None]
        if numbers:
            found |= {start + part.index(min(numbers)), start + part.index(max(numbers))}
        # Most buckets have no gap, and looking at each place takes its time.
        if len(numbers) < len(part) or (start and column[start - 1] is None):
            edges = _edges(column, start, stop)
            found.update(place for edge in (*edges[:1], *edges[-1:]) for place in (edge - 1, edge))
    return found


def _edges(column: Column, start: int, stop: int) -> list[int]:
    """The places at which a gap begins or ends, against the one before."""
    return [place for place in range(max(start, 1), stop) if (column[place] is None) != (column[place - 1] is None)]
