"""Draws that depend on nothing but a text: the same on every machine, Python and version of a library."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """A row of draws.

    >>> Draws("a").below(1000) == Draws("a").below(1000)
    True
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._drawn = 0

    def below(self, n: int) -> int:
        """0 to n - 1, evenly but for a part in 2⁶⁴."""
        digest = hashlib.sha256(f"{self._seed}\0{self._drawn}".encode()).digest()
        self._drawn += 1
        return int.from_bytes(digest[:8], "big") % n

    def choice(self, of: Sequence[T]) -> T:
        """One of them."""
        return of[self.below(len(of))]

    def some(self, of: Sequence[T], n: int) -> list[T]:
        """n different ones, or all where there are fewer, in their own order."""
        left = list(range(len(of)))
        drawn = [left.pop(self.below(len(left))) for _ in range(min(n, len(of)))]
        return [of[at] for at in sorted(drawn)]
