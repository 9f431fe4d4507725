"""A publisher's events on their way: in its spool and, where the disk takes no more, in a bounded part of memory."""

from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from producers.spool.record import Record
from producers.spool.spool import Position, Spool, Spooled

MEMORY_BYTES = 16 << 20
RESERVED_BYTES = 256 << 10
"""of the memory, for the events of a run's life: how a run ended matters more than its last steps"""


class Kept(Struct, frozen=True, gc=False):
    """A record and how to tell the backlog that it has arrived."""

    record: Record
    end: Position | None
    """in the spool; None: in memory"""


class Backlog:
    """Every record that has not arrived, in order. What is in memory is younger than what is in the spool.

    `complain` is told in a sentence when the disk takes no more. Not for two threads at once.
    """

    def __init__(self, spool: Spool | None, complain: Callable[[str], None]) -> None:
        self._spool = spool
        self._complain = complain
        self._memory: deque[Record] = deque()
        self._memory_bytes = 0
        self._memory_read = 0
        self.is_unreadable = False
        """whether the spool could not be read the last time"""

    @property
    def place(self) -> str:
        """Where the spool is."""
        return "memory" if self._spool is None else str(self._spool.folder.path)

    def count_in_memory(self) -> int:
        """Records, of all topics, that do not outlive the process."""
        return sum(len(record.topics) for record in self._memory)

    @property
    def is_drained(self) -> bool:
        """Whether everything has arrived."""
        return not self._memory and (self._spool is None or self._spool.is_drained)

    def append(self, records: Sequence[Record], *, is_essential: bool = False) -> int:
        """Keep `records`, and return how many there was room for."""
        if self._spool is not None and not self._memory:
            try:
                self._spool.append(records)
            except OSError as error:
                self._complain(f"nothing more can be spooled to {self._spool.folder.path} ({error.strerror or error})")
            else:
                return len(records)
        limit = MEMORY_BYTES if is_essential else MEMORY_BYTES - RESERVED_BYTES
        for kept, record in enumerate(records):
            if self._memory_bytes + len(record.raw) > limit:
                return kept
            self._memory.append(record)
            self._memory_bytes += len(record.raw)
        return len(records)

    def read(self) -> Kept | None:
        """The next record, or None where there is no other yet."""
        if self._spool is not None and (spooled := self._read_spool(self._spool)) is not None:
            return Kept(spooled.record, spooled.end)
        if self._memory_read < len(self._memory):
            self._memory_read += 1
            return Kept(self._memory[self._memory_read - 1], None)
        return None

    def acknowledge(self, kept: Kept) -> None:
        """`kept` and everything before it has arrived."""
        if kept.end is None:
            self._memory_bytes -= len(self._memory.popleft().raw)
            self._memory_read -= 1
        elif self._spool is not None:
            try:
                self._spool.acknowledge(kept.end)
            except OSError as error:
                self._complain(f"what has arrived cannot be noted in {self._spool.folder.path} ({error})")

    def close(self) -> None:
        """Let go of the spool; what is in it stays for whoever comes next."""
        if self._spool is not None:
            self._spool.close()

    def _read_spool(self, spool: Spool) -> Spooled | None:
        try:
            self.is_unreadable = False
            return spool.read()
        except OSError as error:
            self.is_unreadable = True
            self._complain(f"{spool.folder.path} cannot be read ({error.strerror or error})")
            return None
