"""What is stored of one run: the engine's state, and what people are shown and paged by."""

import math
from typing import Protocol, TypeVar

import msgspec
from msgspec import Struct

from producers.events import Severity, SignalType
from stream_app.engine.state import RunState

VERSION = 1


class UnreadableRecord(RuntimeError):
    """Stored bytes that this version cannot read."""


# gc=False: there are thousands of them for a moment at each scrape, none of which can be part of a cycle.
class Mark(Struct, frozen=True, array_like=True, gc=False):
    """When and where the latest signal of one type and severity was."""

    at: float
    """Unix seconds"""
    step: int


class Latest(Struct, frozen=True, array_like=True, gc=False):
    """The latest of everything that is measured of a run; unlike the engine's state it knows the clock."""

    event_at: float = -math.inf
    """Unix seconds at which the trainer measured the last event that counted; never later than it was judged"""
    loss: float | None = None
    grad_norm: float | None = None
    """the largest of the latest step that had one, before clipping"""
    is_replay: bool = False
    """the last event was published long after it was measured"""
    marks: dict[SignalType, dict[Severity, Mark]] = {}


class RunRecord(Struct, frozen=True, array_like=True):
    """One run, as its table and the table's changelog hold it."""

    version: int
    state: RunState
    seen_at: float
    """Unix seconds by the worker's clock at which an event last changed the state"""
    latest: Latest = Latest()


class StateHead(Struct, frozen=True, array_like=True, gc=False):
    """The first fields of a `RunState`."""

    attempt: int
    last_step: int
    has_ended: bool
    project: str


class RunHead(Struct, frozen=True, array_like=True, gc=False):
    """A `RunRecord` without windows and streaks, which are most of its bytes: what a look at every run needs."""

    version: int
    state: StateHead
    seen_at: float
    latest: Latest = Latest()


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


R = TypeVar("R", bound=_Versioned)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RunRecord)
_head_decoder = msgspec.msgpack.Decoder(RunHead)


def encode_record(record: RunRecord) -> bytes:
    """`record` as MessagePack."""
    return _encoder.encode(record)


def decode_record(raw: bytes) -> RunRecord:
    """The record that `encode_record` wrote; raises `UnreadableRecord` for anything else."""
    return decode_versioned(_decoder, raw, VERSION, "state of a run")


def decode_head(raw: bytes) -> RunHead:
    """The head of the record that `encode_record` wrote; raises `UnreadableRecord`."""
    return decode_versioned(_head_decoder, raw, VERSION, "state of a run")


def decode_versioned(decoder: msgspec.msgpack.Decoder[R], raw: bytes, version: int, what: str) -> R:
    """What was stored at `version`; raises `UnreadableRecord`, which calls it `what`, for anything else."""
    try:
        record = decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableRecord(f"the stored {what} cannot be read ({error})") from None
    if record.version != version:
        raise UnreadableRecord(
            f"the stored {what} is of version {record.version}, this worker reads {version}: "
            "run the worker that wrote it, or start anew with another STREAKLINE_TOPIC_PREFIX"
        )
    return record
