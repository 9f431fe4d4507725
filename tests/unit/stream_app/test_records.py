"""What a table holds of a run comes back as it went in, or not at all."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from stream_app.engine.replay import Replay, steps
from stream_app.engine.state import RunState
from stream_app.records import (
    VERSION,
    Latest,
    Mark,
    RunRecord,
    decode_head,
    decode_record,
    encode_record,
    is_behind,
)
from stream_app.versions import UnreadableRecord

LATEST = Latest(12.0, -math.inf, 0.5, is_replay=True, marks={"dead_layers": {"warning": Mark(11.5, 7)}})


def judged() -> RunState:
    replay = Replay()
    for event in steps(grad_norms=[{"a.attn": 0.0, "a.mlp": 0.0}] * 7):
        replay.apply(event)
    return replay.states["run"]


def test_a_record_survives_its_encoding() -> None:
    record = RunRecord(VERSION, judged(), 12.5, LATEST)
    assert decode_record(encode_record(record)) == record


def test_the_head_is_the_records_own() -> None:
    record = RunRecord(VERSION, judged(), 12.5, LATEST)
    head = decode_head(encode_record(record))
    assert (head.version, head.seen_at, head.latest) == (VERSION, 12.5, LATEST)
    assert asdict(head.state).items() <= asdict(record.state).items()


def test_a_record_from_before_there_was_a_latest_is_read() -> None:
    raw = msgspec.msgpack.encode((VERSION, judged(), 12.5))
    assert decode_record(raw) == RunRecord(VERSION, judged(), 12.5)
    assert decode_head(raw).latest == Latest()


@pytest.mark.parametrize("decode", [decode_record, decode_head])
def test_another_version_is_refused_with_the_remedy(decode: object) -> None:
    assert callable(decode)
    newer = msgspec.msgpack.encode(RunRecord(VERSION + 1, RunState(), 0.0))
    with pytest.raises(UnreadableRecord, match=r"of version 2, this release reads 1 at most.*STREAKLINE_TOPIC_PREFIX"):
        decode(newer)


@given(st.binary(max_size=64))
def test_anything_else_is_unreadable(raw: bytes) -> None:
    for decode in (decode_record, decode_head):
        with pytest.raises(UnreadableRecord):
            decode(raw)


@pytest.mark.parametrize(
    ("state", "later"),
    [
        (RunState(attempt=1, last_step=9), RunState(attempt=1, last_step=10)),
        (RunState(attempt=1, last_step=9, has_ended=True), RunState(attempt=2)),
        (RunState(attempt=1, last_step=9), RunState(attempt=1, last_step=9, has_ended=True)),
    ],
)
def test_of_two_states_of_a_run_one_is_behind(state: RunState, later: RunState) -> None:
    raw, other = (encode_record(RunRecord(VERSION, each, 0.0)) for each in (state, later))
    assert (is_behind(raw, other), is_behind(other, raw), is_behind(raw, raw)) == (True, False, False)


def test_what_cannot_be_read_is_not_behind() -> None:
    raw = encode_record(RunRecord(VERSION, RunState(), 0.0))
    assert not is_behind(b"rubbish", raw)
    assert not is_behind(raw, b"rubbish")
