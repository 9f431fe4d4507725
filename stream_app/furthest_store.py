"""RocksDB that keeps, of two states of one row, the one with more events behind it.

A worker that stood still for longer than its session, between having seen that a partition is its own and writing to
the partition's changelog, writes behind the worker that took over. The last row of a changelog is then not always the
latest state; taken for it, what was judged in between would be judged again from a state that is too old. Every state
on a changelog has its signals on their topic already, so whichever is further is right.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from faust.stores.rocksdb import Store
from faust.types import EventT
from rocksdict import WriteBatch

from stream_app.dying import die

logger = logging.getLogger("streakline.stream")

IsBehind = Callable[[bytes, bytes], bool]
"""whether fewer events are behind the first row than behind the second; False where that cannot be told"""


class FurthestStore(Store):
    """A table's store whose recovery skips rows that are behind what it holds."""

    def __init__(self, *args: Any, is_behind: IsBehind, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_behind = is_behind

    def apply_changelog_batch(
        self,
        batch: Iterable[EventT[Any]],
        to_key: Callable[[Any], Any],  # noqa: ARG002  # keys and values are bytes
        to_value: Callable[[Any], Any],  # noqa: ARG002
    ) -> None:
        """Apply rows of the changelog in order; rows and offset of a partition are written together.

        Ends the process where that fails: Faust would say so and go on, and RocksDB takes nothing more once it could
        not write, though the disk have room again.
        """
        try:
            self._apply(batch)
        except Exception:
            logger.critical("the changelog of %s could not be applied", self.table_name, exc_info=True)
            die()

    def write_rows(self, partition: int, rows: dict[bytes, bytes | None], offset: int | None) -> None:
        """Write `rows` (None: deleted) and the changelog's `offset` that they go up to, if it is known, atomically."""
        written = WriteBatch(raw_mode=True)
        for key, value in rows.items():
            if value is None:
                written.delete(key)
            else:
                written.put(key, value)
        if offset is not None:
            written.put(self.offset_key, str(offset).encode())
        self._db_for_partition(partition).write(written)

    def _apply(self, batch: Iterable[EventT[Any]]) -> None:
        rows: dict[int, dict[bytes, bytes | None]] = defaultdict(dict)
        offsets: dict[int, int] = {}
        for event in batch:
            message = event.message
            pending = rows[message.partition]
            offsets[message.partition] = max(message.offset, offsets.get(message.partition, -1))
            key, value = message.key or b"", message.value
            if value is not None:
                held = pending[key] if key in pending else self._db_for_partition(message.partition).get(key)
                if held is not None and self._is_behind(value, held):
                    logger.warning(
                        "%s/%d: the row at offset %d is behind the one before it, and left out: "
                        "a worker wrote it that had lost the partition",
                        message.topic,
                        message.partition,
                        message.offset,
                    )
                    continue
            pending[key] = value
        for partition, offset in offsets.items():
            self.write_rows(partition, rows[partition], offset)
