"""The TFRecord frame, in which event files hold their events.

A record is its length (8 bytes, little-endian), the masked CRC-32C of that (4 bytes), the data, and the masked
CRC-32C of the data (4 bytes); see the TensorFlow guide "TFRecord and tf.train.Example".
"""

import os
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from producers.imports.readings import LeftOut, OnRead

MAX_RECORD_BYTES = 1 << 20
"""a larger one is no scalar; it is passed over without being read"""

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")

Checksum = Callable[[bytes], int]
"""the masked CRC-32C of bytes"""


class Record(Struct, frozen=True, gc=False):
    """The data of one record."""

    data: bytes
    checksum: int
    """as the file has it: checking it takes longer than reading, so the caller does where it matters"""


def read_records(path: Path, checksum: Checksum, left_out: LeftOut, on_read: OnRead) -> Iterator[Record]:
    """The records of the file at `path`, each of at most 1 MiB, up to its end or to where it is damaged."""
    # A file has records of few lengths, and a checksum takes as long as all the rest.
    checksum_of_length = lru_cache(4096)(checksum)
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        position = 0
        while header := file.read(_HEADER.size):
            if len(header) < _HEADER.size:
                left_out.add("cut_off")
                return
            length, header_checksum = _HEADER.unpack(header)
            if checksum_of_length(header[:8]) != header_checksum:
                # Where the next record begins can no longer be known.
                left_out.add("lost")
                return
            end = position + _HEADER.size + length + _CHECKSUM.size
            if end > size_bytes:
                left_out.add("cut_off")
                return
            record = _read_record(file, length, end, left_out)
            if record is not None:
                yield record
            on_read(end - position)
            position = end


def _read_record(file: BinaryIO, length: int, end: int, left_out: LeftOut) -> Record | None:
    if length > MAX_RECORD_BYTES:
        left_out.add("too_large")
        file.seek(end)
        return None
    raw = file.read(length + _CHECKSUM.size)
    if len(raw) < length + _CHECKSUM.size:
        # Somebody makes it shorter meanwhile.
        left_out.add("cut_off")
        return None
    return Record(raw[:length], _CHECKSUM.unpack(raw[length:])[0])
