"""Strict in, exact out: whatever the bytes, `decode` gives an event or one reason."""

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.codec import MAX_EVENT_BYTES, MalformedEvent, decode, decode_diff, decode_signal, encode
from producers.events import RunCompleted, RunFailed, RunStarted, Signal, StepEvent

FIELDS = '"run_id":"a","step":1,"ts":1.0,"loss":2.0'


def reason(raw: bytes | str) -> str:
    with pytest.raises(MalformedEvent) as caught:
        decode(raw if isinstance(raw, bytes) else raw.encode())
    assert str(caught.value) == f"{caught.value.reason}: {caught.value.detail}"
    assert "\n" not in caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "nonsense",
        b"\xff\xfe",
        '{"run_id":"a","step":1,"ts":1.0,"loss":NaN}',
        '{"run_id":"a","step":1,"ts":1.0,"loss":Infinity}',
        "{" + FIELDS + "} {}",
        "{" + FIELDS + ',"x":' + "[" * 200_000 + "]" * 200_000 + "}",
        b'{"run_id":"a","step":1,"ts":1.0,"loss":2.0,"gradNorms":{"\xff":1.0}}',
        b'{"run_id":"a","step":1,"ts":1.0,"loss":2.0,"added_later":"\xff"}',
        b'{"run_id":"a","step":1,"ts":1.0,"loss":2.0,"\xff":1}',
        b'\xef\xbb\xbf{"run_id":"a","step":1,"ts":1.0,"loss":2.0}',
    ],
)
def test_what_is_no_json_is_said_to_be_none(raw: bytes | str) -> None:
    assert reason(raw) == "not_json"


@pytest.mark.parametrize(
    "raw",
    [
        "null",
        "[]",
        "1",
        "{}",
        '{"run_id":"a","step":1,"ts":1.0}',
        '{"run_id":"a","step":1,"loss":1.0}',
        '{"run_id":"a","step":1,"ts":1.0,"loss":null}',
        '{"run_id":null,"step":1,"ts":1.0,"loss":1.0}',
        '{"run_id":"a","step":1,"ts":1.0,"loss":"1.0"}',
        '{"run_id":"a","step":"1","ts":1.0,"loss":1.0}',
        '{"run_id":"a","step":true,"ts":1.0,"loss":1.0}',
        '{"run_id":"a","step":1.0,"ts":1.0,"loss":1.0}',
        '{"run_id":"a","step":-1,"ts":1.0,"loss":1.0}',
        '{"run_id":"a","step":9223372036854775808,"ts":1.0,"loss":1.0}',
        '{"run_id":"a","step":1,"ts":"NaN","loss":1.0}',
        '{"run_id":"a","step":1,"ts":1.0,"loss":1e400}',
        '{"run_id":"a","step":1,"ts":1.0,"loss":"nan"}',
        '{"run_id":"","step":1,"ts":1.0,"loss":1.0}',
        '{"run_id":"a b","step":1,"ts":1.0,"loss":1.0}',
        '{"run_id":"a\\n","step":1,"ts":1.0,"loss":1.0}',
        '{"run_id":"' + "a" * 129 + '","step":1,"ts":1.0,"loss":1.0}',
        '{"run_id":"é","step":1,"ts":1.0,"loss":1.0}',
        "{" + FIELDS + ',"attempt":-1}',
        "{" + FIELDS + ',"maxGrad":"1"}',
        "{" + FIELDS + ',"gradNorms":[1.0]}',
        "{" + FIELDS + ',"gradNorms":{"a":{"b":1.0}}}',
        "{" + FIELDS + ',"gradNorms":{"a":"1.0"}}',
        "{" + FIELDS + ',"deadLayers":[1]}',
        "{" + FIELDS + ',"deadLayers":["' + "a" * 513 + '"]}',
        "{" + FIELDS + ',"type":"step"}',
        "{" + FIELDS + ',"type":7}',
        '{"type":"run_started","run_id":"a"}',
        '{"type":"run_started","run_id":"a","ts":1.0,"project":"a b"}',
        '{"type":"run_failed","run_id":"a","ts":1.0}',
    ],
)
def test_what_breaks_the_contract_is_invalid(raw: str) -> None:
    assert reason(raw) == "invalid"


def test_the_size_of_an_event_is_bounded() -> None:
    event = "{" + FIELDS + "}"
    assert decode((event + " " * (MAX_EVENT_BYTES - len(event))).encode()).run_id == "a"
    assert reason(event + " " * (MAX_EVENT_BYTES - len(event) + 1)) == "too_large"


def test_a_step_may_have_sixteen_thousand_layers_and_no_more() -> None:
    def raw(layers: int) -> bytes:
        return encode(StepEvent(run_id="a", step=1, ts=1.0, loss=1.0, dead_layers=[f"{i}" for i in range(layers)]))

    assert isinstance(decode(raw(16_384)), StepEvent)
    assert reason(raw(16_385)) == "invalid"


@pytest.mark.parametrize("run_id", ["a", "A-Z.a_z:0/9@x", "a" * 128])
def test_run_ids(run_id: str) -> None:
    assert decode(b'{"run_id":"%s","step":0,"ts":1,"loss":1}' % run_id.encode()).run_id == run_id


def test_unknown_fields_are_ignored() -> None:
    assert decode(("{" + FIELDS + ',"added_later":{"deep":[1]}}').encode()) == decode(("{" + FIELDS + "}").encode())


@pytest.mark.parametrize(("spelled", "number"), [("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf)])
def test_numbers_that_json_does_not_have(spelled: str, number: float) -> None:
    event = StepEvent(
        run_id="a", step=1, ts=1.0, loss=number, max_grad=number, grad_norms={"x": number, "y": 1.0, "z": None}
    )
    raw = encode(event)
    assert json.loads(raw) == {
        "run_id": "a",
        "step": 1,
        "ts": 1.0,
        "loss": spelled,
        "maxGrad": spelled,
        "gradNorms": {"x": spelled, "y": 1.0, "z": None},
    }
    assert repr(decode(raw)) == repr(event)


def test_a_tag_is_a_tag_however_it_is_spelled() -> None:
    failed = rb'{"\u0074ype":"run_failed","run_id":"a","ts":1.0,"error":"x","step":1,"loss":2.0}'
    assert decode(failed) == RunFailed(run_id="a", ts=1.0, error="x")
    assert isinstance(decode(("{" + FIELDS + ',"type":null}').encode()), StepEvent)
    assert isinstance(decode(("{" + FIELDS + ',"gradNorms":{"type":1.0,"a\\n":2.0}}').encode()), StepEvent)


def test_a_signal_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(MalformedEvent, match="not_json: not UTF-8"):
        decode_signal(b'{"added_later":"\xff"}')


def test_absent_and_null_are_the_same() -> None:
    nulls = '{"run_id":"a","step":1,"ts":1.0,"loss":2.0,"maxGrad":null,"gradNorms":null,"deadLayers":null,"epoch":null}'
    assert decode(nulls.encode()) == decode(("{" + FIELDS + "}").encode())


names = st.text(st.characters(codec="utf-8"), max_size=20)
numbers = st.floats()
step_events = st.builds(
    StepEvent,
    run_id=st.from_regex(r"[A-Za-z0-9._:/@-]{1,128}", fullmatch=True),
    attempt=st.integers(0, 2**63 - 1),
    step=st.integers(0, 2**63 - 1),
    ts=st.floats(allow_nan=False, allow_infinity=False),
    loss=numbers,
    learning_rate=st.none() | numbers,
    max_grad=st.none() | numbers,
    grad_norms=st.none() | st.dictionaries(names, st.none() | numbers, max_size=5),
    dead_layers=st.none() | st.lists(names, max_size=3),
    epoch=st.none() | numbers,
)
lifecycles = st.one_of(
    st.builds(RunStarted, run_id=st.just("a"), ts=st.just(1.0), config=st.dictionaries(names, names, max_size=3)),
    st.builds(RunCompleted, run_id=st.just("a"), ts=st.just(1.0), steps=st.integers(0, 9), checkpoint=names),
    st.builds(RunFailed, run_id=st.just("a"), ts=st.just(1.0), error=names),
)


@given(step_events | lifecycles)
def test_every_event_survives_the_wire(event: StepEvent | RunStarted | RunCompleted | RunFailed) -> None:
    assert repr(decode(encode(event))) == repr(event)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")))
def test_whatever_the_bytes_there_is_an_event_or_a_reason(raw: bytes) -> None:
    for read in (decode, decode_signal):
        with contextlib.suppress(MalformedEvent):
            read(raw)


@given(step_events | lifecycles, st.data())
def test_a_damaged_event_is_an_event_or_a_reason(
    event: StepEvent | RunStarted | RunCompleted | RunFailed, data: st.DataObject
) -> None:
    raw = bytearray(encode(event))
    pieces = st.binary(max_size=3) | st.sampled_from([b"null", b"[", b"{", b'"', b"\\", b"-", b"1e999", b"true"])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start : start + data.draw(st.integers(0, 3))] = data.draw(pieces)
    for read in (decode, decode_signal):
        with contextlib.suppress(MalformedEvent):
            read(bytes(raw))


@given(step_events, st.data())
def test_a_torn_event_is_never_taken(event: StepEvent, data: st.DataObject) -> None:
    raw = encode(event)
    with pytest.raises(MalformedEvent):
        decode(raw[: data.draw(st.integers(0, len(raw) - 1))])


def test_a_signal_has_all_its_fields_on_the_wire() -> None:
    signal = Signal(
        signal_id="a/0/1/non_finite",
        run_id="a",
        project="p",
        attempt=0,
        step=1,
        ts=1.0,
        type="non_finite",
        severity="critical",
        metric="loss",
        value=math.inf,
        threshold=None,
        layers=None,
        epoch=None,
        message="m",
        action=None,
    )
    assert json.loads(encode(signal)) == {
        "signal_id": "a/0/1/non_finite",
        "run_id": "a",
        "project": "p",
        "attempt": 0,
        "step": 1,
        "ts": 1.0,
        "type": "non_finite",
        "severity": "critical",
        "metric": "loss",
        "value": "Infinity",
        "threshold": None,
        "layers": None,
        "epoch": None,
        "message": "m",
        "action": None,
    }
    assert decode_signal(encode(signal)) == signal


@pytest.mark.parametrize("rest", [b'"loss":2.0', b'"loss":{"train":2.0}', b'"type":"run_paused"'])
def test_an_event_of_a_later_version_is_refused_as_such_whatever_is_in_it(rest: bytes) -> None:
    raw = b'{"run_id":"a","step":1,"ts":1.0,"v":2,' + rest + b"}"
    for read in (decode, decode_signal, decode_diff):
        with pytest.raises(MalformedEvent, match="of version 2, this release reads 1 at most: upgrade, then requeue"):
            read(raw)


def test_what_a_later_release_adds_to_an_event_is_ignored() -> None:
    raw = b'{"run_id":"a","step":1,"ts":1.0,"loss":2.0,"tokens":512,"v":1}'
    assert encode(decode(raw)) == b'{"run_id":"a","step":1,"ts":1.0,"loss":2.0}'
