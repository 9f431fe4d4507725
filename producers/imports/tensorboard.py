"""TensorBoard's event files, read as a stream: scalars, whichever of the two ways they are written.

The only module that needs the package `tensorboard`; importing it raises ImportError where that is missing.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_BFLOAT16, DT_DOUBLE, DT_FLOAT, DT_HALF, DT_INT32, DT_INT64
from tensorboard.summary.writer.record_writer import masked_crc32c

from producers.events import MAX_INTEGER
from producers.imports.names import meaning
from producers.imports.readings import LeftOut, OnRead, Reading
from producers.imports.tfrecord import Record, read_records

_CHECKED_BYTES = 4096


class EventFiles:
    """A `Source` of one run: its event files, in the order in which they were begun."""

    kind = "TensorBoard event files"
    caveats = ()

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def readings(self, left_out: LeftOut, on_read: OnRead) -> Iterator[Reading]:
        """One reading for each event that holds scalars."""
        for part, path in enumerate(self._paths):
            for record in read_records(path, masked_crc32c, left_out, on_read):
                reading = _reading(record, part, left_out)
                if reading is not None:
                    yield reading


def _reading(record: Record, part: int, left_out: LeftOut) -> Reading | None:
    try:
        event = Event.FromString(record.data)
    except DecodeError:
        left_out.add("damaged")
        return None
    values = _scalars(event.summary.value, left_out)
    # Of what is large and has no scalars nothing is used, whatever it was.
    is_checked = values or len(record.data) <= _CHECKED_BYTES
    if is_checked and masked_crc32c(record.data) != record.checksum:
        left_out.add("damaged")
        return None
    if not values:
        return None
    if not 0 <= event.step <= MAX_INTEGER:
        left_out.add("no_step")
        return None
    return Reading(event.step, values, ts=event.wall_time, part=part)


def _scalars(summary: Sequence[Summary.Value], left_out: LeftOut) -> dict[str, float]:
    values: dict[str, float] = {}
    for value in summary:
        match value.WhichOneof("value"):
            case "simple_value":
                values[value.tag] = value.simple_value
            case "tensor":
                scalar = scalar_of(value.tensor)
                if scalar is not None:
                    values[value.tag] = scalar
            case "histo" if meaning(value.tag) is not None:
                left_out.add("histogram")
            case _:
                pass
    return values


def scalar_of(tensor: TensorProto) -> float | None:
    """The number in a tensor of one element, or None where it is anything else.

    The package's own `make_ndarray` is not asked: it would make an array of whatever shape the file claims.
    """
    if any(dimension.size != 1 for dimension in tensor.tensor_shape.dim):
        return None
    try:
        return _packed(tensor) if tensor.tensor_content else _listed(tensor)
    except struct.error:
        return None


def _packed(tensor: TensorProto) -> float | None:
    formats = {DT_FLOAT: "<f", DT_DOUBLE: "<d", DT_HALF: "<e", DT_INT32: "<i", DT_INT64: "<q"}
    if tensor.dtype == DT_BFLOAT16:
        return _bfloat16(tensor.tensor_content)
    if tensor.dtype not in formats:
        return None
    return float(struct.unpack(formats[tensor.dtype], tensor.tensor_content)[0])


def _listed(tensor: TensorProto) -> float | None:
    fields = {DT_FLOAT: "float_val", DT_DOUBLE: "double_val", DT_INT32: "int_val", DT_INT64: "int64_val"}
    if tensor.dtype in {DT_HALF, DT_BFLOAT16}:
        if len(tensor.half_val) != 1:
            return None
        bits = struct.pack("<H", tensor.half_val[0] & 0xFFFF)
        return _bfloat16(bits) if tensor.dtype == DT_BFLOAT16 else float(struct.unpack("<e", bits)[0])
    if tensor.dtype not in fields:
        return None
    listed = getattr(tensor, fields[tensor.dtype])
    return float(listed[0]) if len(listed) == 1 else None


def _bfloat16(bits: bytes) -> float:
    """The upper half of a float of four bytes."""
    return float(struct.unpack("<f", b"\0\0" + bits)[0])
