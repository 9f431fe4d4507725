"""A batch from a stranger comes out as its records, or as one refusal: never as a gigabyte, never as an error."""

import struct
from collections.abc import Callable

import aiokafka.consumer.fetcher
import cramjam
import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder

from stream_app import bounded_batches
from stream_app.bounded_batches import MAX_BATCH_BYTES, BoundedRecords
from stream_app.raw_records import BatchReason, RefusedBatch
from tests.bounded_memory import in_a_child
from tests.record_batches import GZIP, LZ4, NONE, SNAPPY, ZSTD, batch, bomb, honest, record

CODECS = [GZIP, SNAPPY, LZ4, ZSTD]
_HEADER_BYTES = 61
VALUES = [b"one", b"two" * 1000, b"", b"four"] * 50


def read(raw: bytes, max_batch_bytes: int = MAX_BATCH_BYTES) -> list[tuple[int, bytes | None]]:
    """What the fetcher takes out of the answer `raw`: offset and value of each record."""
    records, found = BoundedRecords(raw, max_batch_bytes), []
    while records.has_next():
        found += [(each.offset, each.value) for each in records.next_batch() or ()]
    return found


def refused(raw: bytes, max_batch_bytes: int = MAX_BATCH_BYTES) -> tuple[BatchReason, int, int]:
    """The reason, the first offset and the last of a batch that is refused as a whole."""
    ((offset, value),) = read(raw, max_batch_bytes)
    assert isinstance(value, RefusedBatch)
    assert value == raw
    return value.reason, value.first_offset, offset


@pytest.mark.parametrize("codec", [NONE, *CODECS])
def test_honest_batches_come_out_as_they_were(codec: int) -> None:
    raw = honest(VALUES, codec)
    assert read(raw + raw) == list(enumerate(VALUES)) * 2
    assert BoundedRecords(raw).size_in_bytes() == len(raw)
    last = BoundedRecords(raw).next_batch()
    assert last is not None
    assert (last.validate_crc(), last.base_offset, last.next_offset) == (True, 0, len(VALUES))


@pytest.mark.parametrize("codec", CODECS)
def test_the_limit_is_on_what_the_records_become(codec: int) -> None:
    size = len(honest(VALUES)) - _HEADER_BYTES
    raw = honest(VALUES, codec)
    assert read(raw, size) == list(enumerate(VALUES))
    assert refused(raw, size - 1) == ("batch_too_large", 0, len(VALUES) - 1)


def unfold(codec: int) -> None:
    raw = batch(bomb(codec, 512), codec)
    assert refused(raw)[0] == "batch_too_large"


@pytest.mark.parametrize("codec", [GZIP, LZ4, ZSTD])
def test_a_bomb_takes_no_more_memory_than_the_limit(codec: int) -> None:
    assert in_a_child(unfold, codec) < 2 * MAX_BATCH_BYTES


def test_a_block_that_says_it_is_four_gigabytes_takes_none() -> None:
    assert in_a_child(refused_block, 0) < MAX_BATCH_BYTES


def refused_block(_: int) -> None:
    assert refused(batch(b"\xff\xff\xff\xff\x0f\0", SNAPPY)) == ("batch_too_large", 0, 0)


@pytest.mark.parametrize("codec", [*CODECS, 5, 7])
@pytest.mark.parametrize("payload", [b"", b"rubbish" * 10])
def test_what_no_codec_wrote_is_refused_whole(codec: int, payload: bytes) -> None:
    assert refused(batch(payload, codec, count=3)) == ("batch_damaged", 0, 2)


@pytest.mark.parametrize("cut", [1, 20])
@pytest.mark.parametrize("codec", CODECS)
def test_what_was_cut_off_before_it_was_sent_is_refused_whole(codec: int, cut: int) -> None:
    assert refused(batch(honest(VALUES, codec)[_HEADER_BYTES:-cut], codec, count=4)) == ("batch_damaged", 0, 3)


@pytest.mark.parametrize("codec", [NONE, ZSTD])
@pytest.mark.parametrize(
    "second",
    [
        record(b"x", offset_delta=1, headers=b"\x02\x02\xff\x00"),
        record(b"x", offset_delta=1, headers=b"\x01"),
        record(b"x", offset_delta=1)[:-1],
        b"\xff" * 20,
        b"",
    ],
)
def test_the_records_before_one_that_cannot_be_read_are_read(second: bytes, codec: int) -> None:
    records = record(b"first") + second
    raw = batch(records if codec == NONE else bytes(cramjam.zstd.compress(records)), codec, count=3)
    first, (offset, value) = read(raw)
    assert first == (0, b"first")
    assert offset == 2
    assert isinstance(value, RefusedBatch)
    assert (value.reason, value.first_offset) == ("batch_damaged", 1)
    assert value == raw


def test_bytes_behind_the_last_record_are_nobodys() -> None:
    assert read(batch(record(b"only") + b"more")) == [(0, b"only")]


def test_a_batch_that_ends_before_it_begins_is_passed_all_the_same() -> None:
    raw = bytearray(batch(b"rubbish", GZIP))
    struct.pack_into(">i", raw, 23, -7)
    records = BoundedRecords(bytes(raw)).next_batch()
    assert records is not None
    assert records.next_offset == 1


def test_what_a_broker_says_of_its_transactions_is_left_alone() -> None:
    raw = bytearray(batch(record(b"\0\0\0\0\0\0", key=b"\0\0\0\1")))
    struct.pack_into(">h", raw, 21, 0x20)
    marker = BoundedRecords(bytes(raw)).next_batch()
    assert isinstance(marker, DefaultRecordBatch)
    assert marker.is_control_batch
    assert next(marker).key == b"\0\0\0\1"


@pytest.mark.parametrize("length", [0, 11, 12, 20, 60])
def test_a_batch_that_is_cut_off_is_none(length: int) -> None:
    raw = honest([b"x"])
    records = BoundedRecords(raw[:length])
    assert not records.has_next()
    assert records.next_batch() is None
    assert records.size_in_bytes() == length


@pytest.mark.parametrize("length", [-1, 0, 4, 30])
def test_what_is_shorter_than_a_header_is_refused(length: int) -> None:
    raw = bytearray(honest([b"x"]))
    struct.pack_into(">i", raw, 8, length)
    raw[7] = 40
    assert refused(bytes(raw[: 12 + max(length, 0)])) == ("batch_damaged", 40, 40)


@pytest.mark.parametrize("codec", [NONE, GZIP])
def test_the_format_of_long_ago_is_refused(codec: int) -> None:
    """Its decoder runs past the end of what it is given, and brokers have not written it since Kafka 0.11."""
    builder = LegacyRecordBatchBuilder(1, codec, 1 << 20)
    builder.append(0, 1, b"key", b"value" * 10)
    assert refused(bytes(builder.build())) == ("batch_damaged", 0, 0)


def test_the_fetcher_takes_batches_by_the_name_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer aiokafka may have another."""
    monkeypatch.setattr(aiokafka.consumer.fetcher, "MemoryRecords", aiokafka.consumer.fetcher.MemoryRecords)
    fetch: Callable[..., object] = aiokafka.consumer.fetcher.Fetcher._proc_fetch_request
    assert "MemoryRecords" in fetch.__code__.co_names
    bounded_batches.install()
    assert aiokafka.consumer.fetcher.MemoryRecords is BoundedRecords
