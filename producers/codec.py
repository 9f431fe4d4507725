"""Strict JSON in and out of the contract's structs: what cannot be right is refused with a reason."""

import math
from typing import Any, Literal

import msgspec

from producers.events import EVENT_VERSION, DiffEvent, Lifecycle, Signal, StepEvent, TrainerEvent

MAX_EVENT_BYTES = 1 << 20

Reason = Literal["too_large", "not_json", "invalid"]


class MalformedEvent(ValueError):
    """Bytes that are no event. `reason` is one of a few words (a metric label), `detail` a sentence."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class _Tag(msgspec.Struct):
    type: str | None = None


class _Version(msgspec.Struct):
    v: int = 1


_tag = msgspec.json.Decoder(_Tag)
_version = msgspec.json.Decoder(_Version)
_step = msgspec.json.Decoder(StepEvent)
_lifecycle: msgspec.json.Decoder[Lifecycle] = msgspec.json.Decoder(Lifecycle)
_signal = msgspec.json.Decoder(Signal)
_diff: msgspec.json.Decoder[DiffEvent] = msgspec.json.Decoder(DiffEvent)
_encoder = msgspec.json.Encoder()


def decode(raw: bytes) -> TrainerEvent:
    """The step or lifecycle event in `raw` (UTF-8 JSON, at most 1 MiB).

    Raises `MalformedEvent` for everything else, whatever the bytes are.

    >>> decode(b'{"run_id": "a", "step": 3, "ts": 1.0, "loss": "NaN"}').loss
    nan
    >>> decode(b'{"run_id": "a", "step": -3, "ts": 1.0, "loss": 2}')
    Traceback (most recent call last):
    producers.codec.MalformedEvent: invalid: Expected `int` >= 0 - at `$.step`
    """
    _check_size(raw)
    try:
        _check_utf_8(raw)
        # A backslash: a key may be spelled with escapes, as in "\u0074ype".
        if (b'"type"' in raw or b"\\" in raw) and _tag.decode(raw).type is not None:
            return _lifecycle.decode(raw)
        return _step.decode(raw)
    except (ValueError, RecursionError) as error:
        raise _malformed(raw, error) from None


def decode_signal(raw: bytes) -> Signal:
    """The signal in `raw`; raises `MalformedEvent` for everything else."""
    try:
        _check_utf_8(raw)
        return _signal.decode(raw)
    except (ValueError, RecursionError) as error:
        raise _malformed(raw, error) from None


def decode_diff(raw: bytes) -> DiffEvent:
    """The record of the diffs topic in `raw`; raises `MalformedEvent` for everything else."""
    _check_size(raw)
    try:
        _check_utf_8(raw)
        return _diff.decode(raw)
    except (ValueError, RecursionError) as error:
        raise _malformed(raw, error) from None


def encode(event: msgspec.Struct) -> bytes:
    """`event`, or what holds some, as UTF-8 JSON, non-finite numbers as strings.

    >>> encode(StepEvent(run_id="a", step=3, ts=1.0, loss=float("inf")))
    b'{"run_id":"a","step":3,"ts":1.0,"loss":"Infinity"}'
    """
    raw = _encoder.encode(event)
    # msgspec writes a non-finite float as null; defaults are left out, so a null here is either that
    # or rare enough to take the slow path for nothing.
    return _encoder.encode(_spell_non_finite(msgspec.to_builtins(event))) if b":null" in raw else raw


def _spell_non_finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _spell_non_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spell_non_finite(item) for item in value]
    return value


def _check_size(raw: bytes) -> None:
    if len(raw) > MAX_EVENT_BYTES:
        raise MalformedEvent("too_large", f"{len(raw):,} bytes; an event has at most {MAX_EVENT_BYTES:,}")


def _check_utf_8(raw: bytes) -> None:
    # msgspec does not look into the fields it skips.
    if not raw.isascii():
        raw.decode()


def _version_of(raw: bytes) -> int:
    try:
        return _version.decode(raw).v
    except (ValueError, RecursionError):
        return EVENT_VERSION


def _malformed(raw: bytes, error: ValueError | RecursionError) -> MalformedEvent:
    match error:
        case msgspec.ValidationError() if (version := _version_of(raw)) > EVENT_VERSION:
            # Whatever else is wrong with it is right there.
            return MalformedEvent(
                "invalid",
                f"it is of version {version}, this release reads {EVENT_VERSION} at most: upgrade, then requeue it",
            )
        case msgspec.ValidationError():
            return MalformedEvent("invalid", str(error))
        case UnicodeDecodeError():
            return MalformedEvent("not_json", "not UTF-8")
        case RecursionError():
            return MalformedEvent("not_json", "nested too deeply")
        case _:
            return MalformedEvent("not_json", str(error))
