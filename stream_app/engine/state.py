"""What the engine remembers of one run: bounded, immutable, exact through its encoding."""

import msgspec
from msgspec import Struct

from producers.events import DEFAULT_PROJECT, DetectorType, LayerKind, Severity

Streaks = dict[str, int]
"""layer → consecutive counted events below the dead norm; never changed in place"""


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
    early_stop: tuple[DetectorType, ...] = ()
    layer_kinds: dict[str, LayerKind] | None = None
    losses: tuple[float, ...] = ()
    """the last finite losses, oldest first"""
    max_grads: tuple[float, ...] = ()
    """the last finite maximum gradient norms, oldest first"""
    attention_streaks: Streaks = {}
    other_streaks: Streaks = {}
    emissions: dict[DetectorType, Emission] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RunState)


def encode_state(state: RunState) -> bytes:
    """`state` as MessagePack."""
    return _encoder.encode(state)


def decode_state(raw: bytes) -> RunState:
    """The state that `encode_state` wrote; raises `msgspec.DecodeError` for anything else."""
    return _decoder.decode(raw)
