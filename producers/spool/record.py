"""One event in a spool file: marked, measured and checksummed, so that a torn one is known for what it is.

Ten bytes before the event: a marker, the topics it goes to, its length and a CRC-32 (little-endian).
"""

import struct
import zlib
from collections.abc import Iterator
from enum import IntFlag

from msgspec import Struct

from producers.codec import MAX_EVENT_BYTES

_MARKER = b"\xa5"
_HEADER = struct.Struct("<cBII")

# Looking for the next whole record costs a checksum a candidate; a file of nothing else ends the search. The marker
# alone makes none: it is in the UTF-8 of some letters.
_MAX_CANDIDATES = 1_000


class Topic(IntFlag):
    """Where an event goes."""

    STEPS = 1
    RUNS = 2
    BOTH = 3


class Record(Struct, frozen=True, gc=False):
    """An event as it is to be published."""

    topics: Topic
    raw: bytes


def pack(record: Record) -> bytes:
    """`record` as it stands in a file.

    >>> pack(Record(Topic.STEPS, b"{}")).hex(" ")
    'a5 01 02 00 00 00 02 8e bd ba 7b 7d'
    """
    return _HEADER.pack(_MARKER, record.topics, len(record.raw), zlib.crc32(record.raw, record.topics)) + record.raw


def unpack(buffer: bytes) -> Iterator[tuple[Record, int]]:
    """Every whole record in `buffer` and the offset behind it; bytes that are none are passed over.

    >>> one, two = pack(Record(Topic.BOTH, b"a")), pack(Record(Topic.STEPS, b"b"))
    >>> list(unpack(one[:-1] + two))
    [(Record(topics=<Topic.STEPS: 1>, raw=b'b'), 21)]
    """
    offset = candidates = 0
    while candidates < _MAX_CANDIDATES and (offset := buffer.find(_MARKER, offset)) >= 0:
        length = _length_at(buffer, offset)
        record = _record_at(buffer, offset, length) if length else None
        if record is None:
            offset += 1
            candidates += length > 0
        else:
            offset += _HEADER.size + length
            yield record, offset


def _length_at(buffer: bytes, offset: int) -> int:
    """Of the event, if there is one; 0 where there cannot be."""
    start = offset + _HEADER.size
    if start > len(buffer):
        return 0
    _, topics, length, _ = _HEADER.unpack_from(buffer, offset)
    is_one = Topic.STEPS <= topics <= Topic.BOTH and 0 < length <= min(MAX_EVENT_BYTES, len(buffer) - start)
    return length if is_one else 0


def _record_at(buffer: bytes, offset: int, length: int) -> Record | None:
    _, topics, _, checksum = _HEADER.unpack_from(buffer, offset)
    start = offset + _HEADER.size
    raw = buffer[start : start + length]
    return Record(Topic(topics), raw) if zlib.crc32(raw, topics) == checksum else None
