"""Records that were read and are not done with: which is next, and how far a partition may be committed. Pure."""

from collections import deque
from collections.abc import Iterable

from msgspec import Struct

from producers.dead_letters import LetterId
from producers.events import DiffCompleted, DiffFailed
from workers.jobs import DiffJob


class Entry(Struct):
    """One record of the runs topic."""

    partition: int
    offset: int
    published_at: float
    """Unix seconds"""
    key: bytes | None
    value: bytes | None
    job: DiffJob | None
    """None: it asks for nothing"""
    requeued_from: LetterId | None = None
    """the dead letter that it was, where somebody requeued it"""
    result: DiffCompleted | DiffFailed | None = None
    """what the job came to, whether or not anybody was told of it yet"""
    is_done: bool = False
    tries: int = 0
    outages: int = 0
    """how often the lake was away when it was tried"""
    not_before: float = 0.0
    """by the monotonic clock"""


class Pending:
    """One queue a partition. A partition is committed up to its first record that is not done with."""

    def __init__(self) -> None:
        self._queues: dict[int, deque[Entry]] = {}

    def add(self, entry: Entry) -> None:
        """One record, in the order of its partition."""
        self._queues.setdefault(entry.partition, deque()).append(entry)

    def drop(self, partitions: Iterable[int]) -> None:
        """They are another worker's now."""
        for partition in partitions:
            self._queues.pop(partition, None)

    def next(self, now: float) -> Entry | None:
        """The job to do: of the first of each partition the one that was published first, if it may be tried yet."""
        heads = [queue[0] for queue in self._queues.values() if queue and not queue[0].is_done and queue[0].job]
        ready = [entry for entry in heads if entry.not_before <= now]
        return min(ready, key=lambda entry: entry.published_at, default=None)

    def committable(self) -> dict[int, int]:
        """Partition → offset to go on from; what is done with is forgotten."""
        offsets: dict[int, int] = {}
        for partition, queue in self._queues.items():
            while queue and (queue[0].is_done or queue[0].job is None):
                offsets[partition] = queue.popleft().offset + 1
        return offsets

    @property
    def jobs(self) -> int:
        """How many diffs wait, the one that is being made among them."""
        return sum(entry.job is not None and not entry.is_done for queue in self._queues.values() for entry in queue)

    def size(self, partition: int) -> int:
        """Records of `partition` that are held."""
        return len(self._queues.get(partition, ()))
