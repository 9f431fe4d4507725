"""Batches of records as a hostile producer makes them, and a way to have a broker take them."""

import socket
import struct
import zlib
from collections.abc import Iterable

import cramjam
from aiokafka.record._crc32c import crc as crc32c
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from confluent_kafka.admin import AdminClient

from producers.kafka import KafkaSettings, client_config

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)

_PIECE_BYTES = 1 << 20


def record(value: bytes, key: bytes | None = None, offset_delta: int = 0, headers: bytes = b"\0") -> bytes:
    """One record of a batch; `headers` as they are encoded, none if not said."""
    keyed = _varint(-1) if key is None else _varint(len(key)) + key
    body = b"\0" + _varint(0) + _varint(offset_delta) + keyed + _varint(len(value)) + value + headers
    return _varint(len(body)) + body


def batch(payload: bytes, codec: int = NONE, count: int = 1) -> bytes:
    """A whole batch of format 2, `payload` being its records as the codec of that number left them."""
    # Attributes, last offset delta, first and latest timestamp, producer, epoch, sequence, count.
    body = struct.pack(">hiqqqhii", codec, count - 1, 1, 1, -1, -1, -1, count) + payload
    return struct.pack(">qiibI", 0, 9 + len(body), -1, 2, crc32c(body)) + body


def honest(values: Iterable[bytes], codec: int = NONE) -> bytes:
    """What aiokafka's own producer makes of `values`."""
    builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 64 << 20)
    for offset, value in enumerate(values):
        builder.append(offset, 1, b"key", value, [])
    return bytes(builder.build())


def bomb(codec: int, mebibytes: int) -> bytes:
    """The records of a batch, compressed: one record whose value is so many mebibytes of zeros. Takes little memory."""
    size = mebibytes * _PIECE_BYTES
    # Attributes, both deltas, no key, and no headers behind the value.
    head, tail = b"\0" + _varint(0) + _varint(0) + _varint(-1) + _varint(size), b"\0"
    begin = _varint(len(head) + size + len(tail)) + head
    return _compressed(codec, [begin, *[bytes(_PIECE_BYTES)] * mebibytes, tail])


def produce(kafka: KafkaSettings, topic: str, partition: int, raw: bytes) -> int:
    """Have the partition's leader append the batch `raw`; gives the error code that it answers, 0 where it took it."""
    cluster = AdminClient(client_config(kafka)).list_topics(topic, timeout=30)
    leader = cluster.brokers[cluster.topics[topic].partitions[partition].leader]
    name = topic.encode()
    # Produce, version 3: no transaction, acknowledged by all, within 30 s.
    head = struct.pack(">hhih4shhi", 0, 3, 1, 4, b"test", -1, -1, 30_000)
    request = head + struct.pack(f">ih{len(name)}siii", 1, len(name), name, 1, partition, len(raw)) + raw
    with socket.create_connection((leader.host, leader.port), timeout=60) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answers:
            (length,) = struct.unpack(">i", answers.read(4))
            answer = answers.read(length)
    # Correlation, topics, the name, partitions, the partition.
    (error,) = struct.unpack_from(">h", answer, 4 + 4 + 2 + len(name) + 4 + 4)
    return int(error)


def _compressed(codec: int, pieces: Iterable[bytes]) -> bytes:
    if codec == GZIP:
        gzip = zlib.compressobj(wbits=31)
        return b"".join(map(gzip.compress, pieces)) + gzip.flush()
    if codec == SNAPPY:
        blocks = [bytes(cramjam.snappy.compress_raw(piece)) for piece in pieces]
        framed = b"".join(struct.pack(">i", len(block)) + block for block in blocks)
        return b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + framed
    stream = {LZ4: cramjam.lz4.Compressor, ZSTD: cramjam.zstd.Compressor}[codec]()
    for piece in pieces:
        stream.compress(piece)
    return bytes(stream.finish())


def _varint(number: int) -> bytes:
    """Zigzag, as in protobuf."""
    number = (number << 1) ^ (number >> 63)
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
