"""Batches of records as a broker passes them on from strangers: of bounded size, and never the end of a partition.

aiokafka decompresses a batch whatever it becomes, and gives up on a partition where a record cannot be read: a worker
would be killed by the one or the other, and again each time it is started. Here such a batch comes out as one record
at its last offset, a `RefusedBatch`, which the agents send to the dead letters as they do what they cannot judge.
"""

import logging
import struct
from collections.abc import Iterator
from typing import Any

import aiokafka.consumer.fetcher
from aiokafka.record.default_records import DefaultRecord, DefaultRecordBatch
from msgspec import Struct

from stream_app.decompressing import TooLarge, decompressed
from stream_app.raw_records import RefusedBatch

logger = logging.getLogger("streakline.stream")

MAX_BATCH_BYTES = 64 << 20
"""once it is decompressed. The largest that we write ourselves is a request of 32 MiB"""

_OFFSET = struct.Struct(">q")
_LENGTH = struct.Struct(">i")
_LENGTH_AT, _BATCH_AT = 8, 12
_MAGIC_AT, _MAGIC = 16, 2
_ATTRIBUTES = struct.Struct(">h")
_ATTRIBUTES_AT = 21
_HEADER_BYTES = 61
_CODEC = DefaultRecordBatch.CODEC_MASK


def install() -> None:
    """Have every consumer of this process read batches so; it is for stream workers only."""
    aiokafka.consumer.fetcher.MemoryRecords = BoundedRecords


class BoundedRecords:
    """The batches in the answer to a fetch: aiokafka's `MemoryRecords`, as far as its fetcher uses it."""

    def __init__(self, raw: bytes, max_batch_bytes: int = MAX_BATCH_BYTES) -> None:
        self._raw = memoryview(raw)
        self._max_batch_bytes = max_batch_bytes
        self._position = 0

    def size_in_bytes(self) -> int:
        """Of all batches, a last one that is cut off included."""
        return len(self._raw)

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        return self._end() is not None

    def next_batch(self) -> "DefaultRecordBatch | _Batch | _NoBatch | None":
        """The next whole batch, or what stands in its place."""
        end = self._end()
        if end is None:
            return None
        raw, self._position = self._raw[self._position : end], end
        if len(raw) < _HEADER_BYTES or raw[_MAGIC_AT] != _MAGIC:
            # Brokers have written none since Kafka 0.11, and bring what is older into the format that is asked for.
            return _NoBatch(raw)
        batch = DefaultRecordBatch(raw)
        # What a broker writes for its transactions.
        return batch if batch.is_control_batch else _Batch(raw, batch, self._max_batch_bytes)

    def _end(self) -> int | None:
        """Of the next batch."""
        if len(self._raw) - self._position < _BATCH_AT:
            return None
        (length,) = _LENGTH.unpack_from(self._raw, self._position + _LENGTH_AT)
        end = self._position + _BATCH_AT + max(int(length), 0)
        return end if end <= len(self._raw) else None


class _RefusedRecord(Struct, frozen=True):
    """What the fetcher takes for a record."""

    offset: int
    value: RefusedBatch
    timestamp: int
    timestamp_type: int = 0
    key: None = None
    checksum: None = None
    headers: tuple[()] = ()


class _Batch:
    """A batch whose records, or what there is in their place, can always be read."""

    def __init__(self, raw: memoryview, batch: DefaultRecordBatch, max_bytes: int) -> None:
        self._raw = raw
        self._batch = batch
        self._max_bytes = max_bytes
        self.next_offset: int = max(batch.next_offset, batch.base_offset + 1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[DefaultRecord | _RefusedRecord]:
        first = self._batch.base_offset
        try:
            for record in self._records():
                yield record
                first = record.offset + 1
        except TooLarge as error:
            yield self._refused(first, RefusedBatch(self._raw, "batch_too_large", str(error), first))
        except Exception as error:  # a header that is no text, a length beyond the end: whatever a stranger thought of
            if first < self.next_offset:
                detail = f"{type(error).__name__}: {error}"
                yield self._refused(first, RefusedBatch(self._raw, "batch_damaged", detail, first))

    def _records(self) -> DefaultRecordBatch:
        codec = self._batch.compression_type
        if not codec:
            return self._batch
        payload = decompressed(codec, self._raw[_HEADER_BYTES:], self._max_bytes)
        header = bytearray(self._raw[:_HEADER_BYTES])
        _ATTRIBUTES.pack_into(header, _ATTRIBUTES_AT, self._batch.attributes & ~_CODEC)
        return DefaultRecordBatch(bytes(header) + payload)

    def _refused(self, first: int, batch: RefusedBatch) -> _RefusedRecord:
        return _refused(first, self.next_offset - 1, batch, self._batch.max_timestamp)


class _NoBatch:
    """Bytes of no format that brokers write since Kafka 0.11, in the place of a batch."""

    producer_id = None
    is_control_batch = is_transactional = False

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw
        self.base_offset: int = _OFFSET.unpack_from(raw)[0]
        self.next_offset = self.base_offset + 1

    def validate_crc(self) -> bool:
        """Whether it came as it was sent: nobody can know."""
        return True

    def __iter__(self) -> Iterator[_RefusedRecord]:
        refused = RefusedBatch(self._raw, "batch_damaged", "it is of no known format", self.base_offset)
        yield _refused(self.base_offset, self.base_offset, refused, 0)


def _refused(first: int, last: int, batch: RefusedBatch, timestamp: int) -> _RefusedRecord:
    logger.error("the records %d to %d are refused (%s: %s)", first, last, batch.reason, batch.detail)
    return _RefusedRecord(last, batch, timestamp)
