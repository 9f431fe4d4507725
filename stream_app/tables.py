"""What is known, by run or by project, in RocksDB with its changelog on Kafka. The only place that reaches into
Faust's tables.

Faust would write a table's change to RocksDB at once and to the changelog some time later, and flushes that
buffer with a time limit before it commits offsets. Here the order is ours: the broker has acknowledged a
row before RocksDB holds it, and RocksDB holds it before the caller acknowledges the events behind it. So
a committed offset means a row that survives an emptied data directory.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

import faust
from rocksdict import WriteBatch

from stream_app.raw_records import RowKey

if TYPE_CHECKING:
    from faust.stores.rocksdb import Store

# Faust's default block cache is 2 GiB for each partition.
_ROCKSDB_OPTIONS = {"block_cache_size": 64 << 20, "write_buffer_size": 16 << 20}


class ReplicatedTable:
    """Bytes by `RowKey`. Only one agent writes, and only for partitions it holds."""

    def __init__(self, app: faust.App, name: str, changelog: str, partitions: int) -> None:
        self._app = app
        self._changelog = changelog
        self._table = app.Table(
            name,
            key_type=bytes,
            value_type=bytes,
            partitions=partitions,
            options=dict(_ROCKSDB_OPTIONS),
        )

    def on_recovered(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call `callback` each time the application's tables, all of them, have caught up with their changelogs.

        Faust tells every table when the last of them is done: asking one is enough.
        """
        self._table.on_recover(callback)

    @property
    def _store(self) -> "Store":
        return cast("Store", self._table.data)

    def load(self, key: RowKey) -> bytes | None:
        """What is stored under `key`."""
        raw: bytes | None = self._store._db_for_partition(key.partition).get(key.name)  # noqa: SLF001
        return raw

    def rows(self) -> Iterator[tuple[RowKey, bytes]]:
        """Every row of the partitions this worker judges, not of those it stands by for. For any thread."""
        judged = {tp.partition for tp in self._app.assignor.assigned_actives()}
        for partition, database in list(self._store._dbs.items()):  # noqa: SLF001
            if partition not in judged:
                continue
            # At once: an iterator keeps the database's lock, and a rebalance may be waiting for it.
            for name, raw in list(self._store._visible_items(database)):  # noqa: SLF001
                yield RowKey(partition, name), raw

    async def replicate(self, values: Mapping[RowKey, bytes | None]) -> Mapping[int, int]:
        """Write `values` (None: deleted) to the changelog and wait until the broker has them.

        Gives the last changelog offset of each partition, for `store`.
        """
        producer = self._app.producer
        acknowledgements = [
            await producer.send(self._changelog, key.name, value, key.partition, None, None)
            for key, value in values.items()
        ]
        offsets: dict[int, int] = {}
        for sent in await asyncio.gather(*acknowledgements):
            offsets[sent.partition] = max(sent.offset, offsets.get(sent.partition, -1))
        return offsets

    def store(self, values: Mapping[RowKey, bytes | None], offsets: Mapping[int, int]) -> None:
        """Write `values`, replicated up to `offsets`, to RocksDB: atomically for each partition."""
        for partition, offset in offsets.items():
            batch = WriteBatch(raw_mode=True)
            for key, value in values.items():
                if key.partition != partition:
                    continue
                if value is None:
                    batch.delete(key.name)
                else:
                    batch.put(key.name, value)
            batch.put(self._store.offset_key, str(offset).encode())
            self._store._db_for_partition(partition).write(batch)  # noqa: SLF001
