"""What a table holds of a run comes back as it went in, or not at all."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.engine.replay import Replay, steps
from stream_app.engine.state import RunState
from stream_app.records import VERSION, RunRecord, UnreadableRecord, decode_record, encode_record


def test_a_record_survives_its_encoding() -> None:
    replay = Replay()
    for event in steps(grad_norms=[{"a.attn": 0.0, "a.mlp": 0.0}] * 7):
        replay.apply(event)
    state = replay.states["run"]
    assert decode_record(encode_record(state, 12.5)) == RunRecord(VERSION, state, 12.5)


def test_another_version_is_refused_with_the_remedy() -> None:
    newer = msgspec.msgpack.encode(RunRecord(VERSION + 1, RunState(), 0.0))
    with pytest.raises(UnreadableRecord, match=r"of version 2, this worker reads 1.*STREAKLINE_TOPIC_PREFIX"):
        decode_record(newer)


@given(st.binary(max_size=64))
def test_anything_else_is_unreadable(raw: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        decode_record(raw)
