"""When so many records of a partition are refused that the worker is to be doubted and not the records. Pure."""

from collections import Counter, deque
from collections.abc import Iterable

from stream_app.raw_records import RawRecord, Refusal
from stream_app.settings import StreamSettings

_DETAIL_CHARACTERS = 200


class FailureLimitReached(RuntimeError):
    """Judging has to stop, with nothing of the batch published; the message says what to do."""


class FailureLimits:
    """The records of some partitions, in order, since the worker got them.

    Two limits a partition. Records that our own code failed on, in a row: only one that was applied ends the row, a
    malformed one says nothing of the code that judges. And the share of all refusals among the latest records, once the
    records of more than one run are refused: one trainer that sends what is no event says nothing of the worker either,
    and must not keep it from the others' steps.

    >>> limits = FailureLimits(StreamSettings(max_consecutive_failures=2), "steps")
    >>> records = [RawRecord(0, offset, b"run", b"{}", 0.0) for offset in range(2)]
    >>> limits.add(records, [Refusal(record, "failed", "KeyError: 'loss'") for record in records])
    Traceback (most recent call last):
    stream_app.failure_limits.FailureLimitReached: ...
    """

    def __init__(self, settings: StreamSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._partitions: dict[int, _Partition] = {}

    def add(self, records: Iterable[RawRecord], refusals: Iterable[Refusal]) -> None:
        """One batch, and those of its records that were refused. Raises `FailureLimitReached`."""
        refused = {(refusal.record.partition, refusal.record.offset): refusal for refusal in refusals}
        for record in records:
            partition = self._partitions.get(record.partition)
            if partition is None:
                partition = self._partitions[record.partition] = _Partition(self._settings.failure_window_records)
            refusal = refused.get((record.partition, record.offset)) if refused else None
            partition.add(refusal)
            if refusal is not None:
                self._check(partition, refusal)

    def reset(self) -> None:
        """The group was rebalanced: what comes next need not follow what came before."""
        self._partitions.clear()

    def _check(self, partition: "_Partition", refusal: Refusal) -> None:
        settings = self._settings
        if partition.failed_in_a_row >= settings.max_consecutive_failures:
            raise FailureLimitReached(
                f"judging stops: {partition.failed_in_a_row:,} records in a row {self._whence(refusal)}; roll the "
                "release back or mend it, or raise STREAKLINE_MAX_CONSECUTIVE_FAILURES "
                f"({settings.max_consecutive_failures:,}) to let them into the dead letters"
            )
        share = settings.max_failure_ratio * partition.size
        if partition.is_full and partition.refused > share and self._is_more_than_one_sender():
            raise FailureLimitReached(
                f"judging stops: {partition.refused:,} of the last {partition.size:,} records "
                f"{self._whence(refusal)}; see whose they are, or raise STREAKLINE_MAX_FAILURE_RATIO "
                f"({settings.max_failure_ratio:g}; 1 is no limit) to let them into the dead letters"
            )

    def _is_more_than_one_sender(self) -> bool:
        return len(set().union(*(partition.refused_by_key for partition in self._partitions.values()))) > 1

    def _whence(self, refusal: Refusal) -> str:
        # What a record says of itself may hold line ends and escapes.
        why = f"{refusal.reason}: {refusal.detail[:_DETAIL_CHARACTERS]!r}"
        return f"of partition {refusal.record.partition} of {self._topic} cannot be applied, the last as {why}"


class _Partition:
    def __init__(self, window_records: int) -> None:
        self._window: deque[int | None] = deque(maxlen=window_records)
        """None: applied"""
        self.refused_by_key: Counter[int] = Counter()
        """in the window"""
        self.refused = 0
        """in the window"""
        self.failed_in_a_row = 0

    @property
    def size(self) -> int:
        return len(self._window)

    @property
    def is_full(self) -> bool:
        return self.size == self._window.maxlen

    def add(self, refusal: Refusal | None) -> None:
        if self.is_full:
            self._forget(self._window[0])
        if refusal is None:
            self._window.append(None)
            self.failed_in_a_row = 0
            return
        digest = _digest(refusal.record.key)
        self._window.append(digest)
        self.refused_by_key[digest] += 1
        self.refused += 1
        if refusal.reason == "failed":
            self.failed_in_a_row += 1

    def _forget(self, digest: int | None) -> None:
        if digest is None:
            return
        self.refused -= 1
        self.refused_by_key[digest] -= 1
        if not self.refused_by_key[digest]:
            del self.refused_by_key[digest]


def _digest(key: bytes | None) -> int:
    """Of a fixed size: a key may be anything, as large as a batch."""
    return hash(key)
