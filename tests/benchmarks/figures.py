"""Rounds of the same work, and what to say of them."""

from statistics import median

from msgspec import Struct


class Figure(Struct, frozen=True):
    """Seconds of each round."""

    rounds: list[float]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.rounds)

    def __str__(self) -> str:
        low, high = spread(self.rounds)
        return f"{1e6 * self.middle:,.0f} ({1e6 * low:,.0f} to {1e6 * high:,.0f})"


def spread(values: list[float]) -> tuple[float, float]:
    """The 10th and the 90th percentile."""
    ordered = sorted(values)
    return ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
