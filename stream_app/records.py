"""What is stored of one run: the engine's state and when the run was last heard of."""

import msgspec
from msgspec import Struct

from stream_app.engine.state import RunState

VERSION = 1


class UnreadableRecord(RuntimeError):
    """Stored bytes that this version cannot read."""


class RunRecord(Struct, frozen=True, array_like=True):
    """One run, as its table and the table's changelog hold it."""

    version: int
    state: RunState
    seen_at: float
    """Unix seconds by the worker's clock at which an event last changed the state"""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RunRecord)


def encode_record(state: RunState, seen_at: float) -> bytes:
    """A record of this version, as MessagePack."""
    return _encoder.encode(RunRecord(VERSION, state, seen_at))


def decode_record(raw: bytes) -> RunRecord:
    """The record that `encode_record` wrote; raises `UnreadableRecord` for anything else."""
    try:
        record = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableRecord(f"the stored state of a run cannot be read ({error})") from None
    if record.version != VERSION:
        raise UnreadableRecord(
            f"the stored state of a run is of version {record.version}, this worker reads {VERSION}: "
            "run the worker that wrote it, or start anew with another STREAKLINE_TOPIC_PREFIX"
        )
    return record
