"""What the engine remembers of one run: bounded, immutable, exact through its encoding."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from producers.events import DEFAULT_PROJECT, LayerKind, Severity

Streaks = dict[str, int]
"""layer → consecutive counted events below the dead norm; never changed in place"""

MAX_TYPES = 256
"""of signals in what is stored of one run: of ours, and of detectors that are or once were installed"""
StoredType = Annotated[str, Meta(max_length=65)]
"""the type of a signal; its pattern was seen to before it was stored, and would take more time than all else here"""
MAX_OWN_STATE_BYTES = 4096
"""of one installed detector in one run"""


class Emission(Struct, frozen=True, array_like=True):
    """The last signal of one type."""

    step: int
    severity: Severity


class RunState(Struct, frozen=True, kw_only=True, array_like=True):
    """One run after the events applied so far; the defaults are a run nothing is known of."""

    attempt: int = -1
    last_step: int = -1
    has_ended: bool = False
    project: str = DEFAULT_PROJECT
    early_stop: tuple[StoredType, ...] = ()
    layer_kinds: dict[str, LayerKind] | None = None
    losses: tuple[float, ...] = ()
    """the last finite losses, oldest first"""
    max_grads: tuple[float, ...] = ()
    """the last finite maximum gradient norms, oldest first"""
    attention_streaks: Streaks = {}
    other_streaks: Streaks = {}
    emissions: Annotated[dict[StoredType, Emission], Meta(max_length=MAX_TYPES)] = {}
    own: Annotated[
        dict[StoredType, Annotated[bytes, Meta(max_length=MAX_OWN_STATE_BYTES)]], Meta(max_length=MAX_TYPES)
    ] = {}
    """what installed detectors remember, by their types, each as MessagePack; see `stream_app.engine.own`"""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RunState)


def encode_state(state: RunState) -> bytes:
    """`state` as MessagePack."""
    return _encoder.encode(state)


def decode_state(raw: bytes) -> RunState:
    """The state that `encode_state` wrote; raises `msgspec.DecodeError` for anything else."""
    return _decoder.decode(raw)
