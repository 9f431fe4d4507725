"""How far the worker is behind, by partition: what it has applied against what the broker holds. Pure."""

from collections.abc import Iterable, Mapping

from msgspec import Struct


class Offsets(Struct, frozen=True):
    """What the broker knows of one partition: it holds `first` up to, not including, `end`."""

    first: int
    end: int
    committed: int
    """where the group goes on; 0 where it never was"""


class Lag(Struct, frozen=True):
    """Of one partition."""

    records: int
    """that wait"""
    seconds: float
    """how long the oldest of them has waited, at most; 0 where none waits"""


class _Position(Struct):
    offset: int | None
    """of the next record; None: no batch was applied yet, it is the committed one"""
    clear_until: float
    """Unix seconds; nothing that waits was published earlier"""


class LagTracker:
    """Partitions this worker judges, and how far it has come in each.

    >>> tracker = LagTracker()
    >>> tracker.assign([0], now=100.0)
    >>> tracker.applied(0, offset=6, published_at=90.0)
    >>> tracker.measure({0: Offsets(first=0, end=10, committed=3)}, now=120.0)
    {0: Lag(records=3, seconds=30.0)}
    """

    def __init__(self) -> None:
        self._positions: dict[int, _Position] = {}

    def assign(self, partitions: Iterable[int], now: float) -> None:
        """Start anew with these partitions."""
        self._positions = {partition: _Position(None, now) for partition in partitions}

    def applied(self, partition: int, offset: int, published_at: float) -> None:
        """The record at `offset`, published at `published_at` (Unix seconds), was applied."""
        position = self._positions.get(partition)
        if position is not None:
            # The first record says more than the moment of the assignment; later ones may be out of order.
            first = position.offset is None
            position.clear_until = published_at if first else max(position.clear_until, published_at)
            position.offset = offset + 1

    def measure(self, offsets: Mapping[int, Offsets], now: float) -> dict[int, Lag]:
        """Each partition's lag; one that `offsets` says nothing of is left out."""
        lags = {}
        for partition, position in list(self._positions.items()):
            if partition not in offsets:
                continue
            there = offsets[partition]
            next_offset = there.committed if position.offset is None else position.offset
            records = max(0, there.end - max(next_offset, there.first))
            if records == 0:
                position.clear_until = max(position.clear_until, now)
            lags[partition] = Lag(records, max(0.0, now - position.clear_until) if records else 0.0)
        return lags
