"""What is stored of one run: the engine's state, and what people are shown and paged by."""

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from producers.events import Severity
from stream_app.engine.state import MAX_TYPES, RunState, StoredType
from stream_app.versions import Reader, UnreadableRecord, Upgrade, latest_version

UPGRADES: tuple[Upgrade, ...] = ()
VERSION = latest_version(UPGRADES)


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
    marks: Annotated[dict[StoredType, dict[Severity, Mark]], Meta(max_length=MAX_TYPES)] = {}
    ending: Literal["completed", "failed"] | None = None
    """how the attempt ended; None also where it had ended before this was kept"""


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


_encoder = msgspec.msgpack.Encoder()
_records = Reader(RunRecord, "state of a run", UPGRADES)
_heads = Reader(RunHead, "state of a run", UPGRADES)


def encode_record(record: RunRecord) -> bytes:
    """`record` as MessagePack."""
    return _encoder.encode(record)


def decode_record(raw: bytes) -> RunRecord:
    """The record that `encode_record` wrote, of this release or an earlier one; raises `UnreadableRecord`."""
    return _records.read(raw)


def decode_head(raw: bytes) -> RunHead:
    """The head of the record that `encode_record` wrote; raises `UnreadableRecord`."""
    return _heads.read(raw)


def is_behind(raw: bytes, other: bytes) -> bool:
    """Whether fewer of the run's events are behind the one record than behind the other."""
    try:
        mine, others = decode_head(raw).state, decode_head(other).state
    except UnreadableRecord:
        return False
    return (mine.attempt, mine.last_step, mine.has_ended) < (others.attempt, others.last_step, others.has_ended)
