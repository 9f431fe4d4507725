"""Decompressing what a stranger compressed: a kilobyte of zstd may be a gigabyte of zeros."""

import struct
from collections.abc import Callable

import cramjam
from aiokafka.record.default_records import DefaultRecordBatch

_FIRST_BYTES = 64 << 10
_FIRST_RATIO = 16
"""of what is decompressed; what real events come to stays below it, and a larger buffer is only made where it is not"""

_XERIAL = b"\x82SNAPPY\0"
_XERIAL_HEADER_BYTES = 16
_BLOCK = struct.Struct(">I")

_FULL = "failed to write whole buffer"
"""what cramjam says where its output did not fit; there is no other sign"""


class Undecompressable(ValueError):
    """No bytes that the codec could have written."""


class TooLarge(ValueError):
    """More than the limit once it is decompressed."""


def decompressed(codec: int, payload: bytes | memoryview, max_bytes: int) -> bytes:
    """`payload` without what the codec of that number in Kafka's format did, which is at most `max_bytes` long.

    No more memory is taken than that. Raises `TooLarge`, and `Undecompressable` for whatever else is wrong with it.
    """
    if codec == DefaultRecordBatch.CODEC_SNAPPY:
        return _snappy(bytes(payload), max_bytes)
    into = _INTO.get(codec)
    if into is None:
        raise Undecompressable(f"there is no codec {codec}")
    first = min(max(_FIRST_RATIO * len(payload), _FIRST_BYTES), max_bytes)
    try:
        return _streamed(into, payload, first)
    except TooLarge:
        if first == max_bytes:
            raise
        return _streamed(into, payload, max_bytes)


def _streamed(into: Callable[..., int], payload: bytes | memoryview, max_bytes: int) -> bytes:
    # Of what is not written to, the system gives no memory.
    buffer = bytearray(max_bytes)
    try:
        length = into(payload, buffer)
    except cramjam.DecompressionError as error:
        if _FULL in str(error):
            raise TooLarge(f"more than {max_bytes:,} bytes") from None
        raise Undecompressable(str(error)) from None
    return bytes(memoryview(buffer)[:length])


def _snappy(payload: bytes, max_bytes: int) -> bytes:
    if not payload.startswith(_XERIAL):
        return _snappy_block(payload, max_bytes)
    # Java's framing: blocks, each behind its length.
    pieces: list[bytes] = []
    size, position = 0, _XERIAL_HEADER_BYTES
    while position < len(payload):
        if position + _BLOCK.size > len(payload):
            raise Undecompressable("snappy: a block was cut off")
        (length,) = _BLOCK.unpack_from(payload, position)
        position += _BLOCK.size
        # A length beyond the end leaves a block that is cut off, and refused as that.
        pieces.append(_snappy_block(payload[position : position + length], max_bytes))
        size += len(pieces[-1])
        if size > max_bytes:
            raise TooLarge(f"more than {max_bytes:,} bytes")
        position += length
    return b"".join(pieces)


def _snappy_block(block: bytes, max_bytes: int) -> bytes:
    """A block says how long it will be, and cannot become longer."""
    try:
        if cramjam.snappy.decompress_raw_len(block) > max_bytes:
            raise TooLarge(f"more than {max_bytes:,} bytes")
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError as error:
        raise Undecompressable(str(error)) from None


_INTO: dict[int, Callable[..., int]] = {
    DefaultRecordBatch.CODEC_GZIP: cramjam.gzip.decompress_into,
    DefaultRecordBatch.CODEC_LZ4: cramjam.lz4.decompress_into,
    DefaultRecordBatch.CODEC_ZSTD: cramjam.zstd.decompress_into,
}
