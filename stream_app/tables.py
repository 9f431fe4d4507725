"""What is known, by run or by project, in RocksDB with its changelog on Kafka. Only this and
`furthest_store` reach into Faust's tables.

Faust would write a table's change to RocksDB at once and to the changelog some time later, and flushes that
buffer with a time limit before it commits offsets. Here the order is ours: the broker has acknowledged a
row before RocksDB holds it, and RocksDB holds it before the caller acknowledges the events behind it. So
a committed offset means a row that survives an emptied data directory.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

import faust
from faust.types import TP

from stream_app.furthest_store import FurthestStore, IsBehind
from stream_app.raw_records import RowKey

if TYPE_CHECKING:
    from faust.tables.base import Collection

# Faust's default block cache is 2 GiB for each partition.
_ROCKSDB_OPTIONS = {"block_cache_size": 64 << 20, "write_buffer_size": 16 << 20}


class ReplicatedTable:
    """Bytes by `RowKey`. Only one agent writes, and only for partitions it holds."""

    def __init__(self, app: faust.App, name: str, changelog: str, partitions: int, *, is_behind: IsBehind) -> None:
        self._app = app
        self._changelog = changelog
        table = app.Table(name, key_type=bytes, value_type=bytes, partitions=partitions)
        self._table = cast("Collection", table)
        self._store = FurthestStore(
            "rocksdb://",
            app,
            table,
            table_name=name,
            key_type=bytes,
            value_type=bytes,
            key_serializer=self._table.key_serializer,
            value_serializer=self._table.value_serializer,
            options=dict(_ROCKSDB_OPTIONS),
            is_behind=is_behind,
        )
        # Faust would make one of its own when it first asks for it.
        self._table._data = self._store  # noqa: SLF001

    def on_recovered(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call `callback` each time the application's tables, all of them, have caught up with their changelogs.

        Faust tells every table when the last of them is done: asking one is enough.
        """
        self._table.on_recover(callback)

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

    async def replicate(self, values: Mapping[RowKey, bytes | None]) -> Mapping[int, range]:
        """Write `values` (None: deleted) to the changelog and wait until the broker has them.

        Gives the changelog's offsets of each partition, from the first to the last of them, for `store`.
        """
        producer = self._app.producer
        acknowledgements = [
            await producer.send(self._changelog, key.name, value, key.partition, None, None)
            for key, value in values.items()
        ]
        offsets: dict[int, list[int]] = defaultdict(list)
        for sent in await asyncio.gather(*acknowledgements):
            offsets[sent.partition].append(sent.offset)
        return {partition: range(min(sent), max(sent) + 1) for partition, sent in offsets.items()}

    def store(self, values: Mapping[RowKey, bytes | None], offsets: Mapping[int, range]) -> None:
        """Write `values`, replicated at `offsets`, to RocksDB: atomically for each partition."""
        rows_by_partition: dict[int, dict[bytes, bytes | None]] = defaultdict(dict)
        for key, value in values.items():
            rows_by_partition[key.partition][key.name] = value
        for partition, written in offsets.items():
            rows = rows_by_partition[partition]
            held = self._store.persisted_offset(TP(self._changelog, partition))
            begins = 0 if held is None else held + 1
            # Where another worker has written in between, its rows are still to be read: by the next recovery.
            is_ours_alone = written[0] == begins and len(written) == len(rows)
            self._store.write_rows(partition, rows, written[-1] if is_ours_alone else held)
