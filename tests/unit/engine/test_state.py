"""A state's bytes: what an older worker wrote has to be read by a newer one."""

import msgspec
import pytest

from stream_app.engine.state import Emission, RunState, decode_state, encode_state

STATE = RunState(
    attempt=1,
    last_step=40,
    has_ended=True,
    project="p",
    early_stop=("loss_plateau",),
    layer_kinds={"mixer": "attention"},
    losses=(2.0, -0.0, 5e-324, 1.7976931348623157e308),
    max_grads=(0.5,),
    attention_streaks={"mixer": 3},
    other_streaks={"mlp": 7},
    emissions={"dead_layers": Emission(38, "warning")},
    own={"extra.check": b"\x91\x01"},
)
# Fields by position: a new one goes at the end, with a default, and none is ever taken out or moved.
WRITTEN = [
    *(1, 40, True, "p", ["loss_plateau"], {"mixer": "attention"}),
    *([2.0, -0.0, 5e-324, 1.7976931348623157e308], [0.5]),
    *({"mixer": 3}, {"mlp": 7}, {"dead_layers": [38, "warning"]}, {"extra.check": b"\x91\x01"}),
]


def test_the_bytes_of_a_state_stay_what_they_are() -> None:
    assert encode_state(STATE) == msgspec.msgpack.encode(WRITTEN)
    assert repr(decode_state(msgspec.msgpack.encode(WRITTEN))) == repr(STATE)


def test_a_state_of_an_older_worker_has_the_defaults_for_what_it_lacks() -> None:
    assert decode_state(msgspec.msgpack.encode([3, 7])) == RunState(attempt=3, last_step=7)


def test_a_state_of_a_newer_worker_is_read_as_far_as_it_is_known() -> None:
    assert decode_state(msgspec.msgpack.encode([*WRITTEN, "added later"])) == STATE


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"{}", encode_state(STATE)[:-1], msgspec.msgpack.encode(["x"])])
def test_what_is_no_state_is_an_error(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_state(raw)


def test_a_state_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        STATE.attempt = 2  # type: ignore[misc]
