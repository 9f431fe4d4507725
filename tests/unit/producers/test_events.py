"""The structs themselves: what they are on the wire, to the byte, and that nothing changes them."""

import math

import pytest

from producers.codec import decode, decode_signal, encode
from producers.events import Event, RunCompleted, RunFailed, RunStarted, Signal, StepEvent
from producers.examples import EVENT_NAMES, REGRESSED, VALID, EventName

INF = math.inf


@pytest.mark.parametrize(
    ("event", "wire"),
    [
        (StepEvent(run_id="a", step=3, ts=1.0, loss=2.5), b'{"run_id":"a","step":3,"ts":1.0,"loss":2.5}'),
        (
            StepEvent(run_id="a", step=3, ts=1.0, loss=2.5, max_grad=0.5, grad_norms={}, dead_layers=[]),
            b'{"run_id":"a","step":3,"ts":1.0,"loss":2.5,"maxGrad":0.5,"gradNorms":{},"deadLayers":[]}',
        ),
        (RunStarted(run_id="a", ts=1.0), b'{"type":"run_started","run_id":"a","ts":1.0}'),
        (RunCompleted(run_id="a", ts=1.0, steps=9), b'{"type":"run_completed","run_id":"a","ts":1.0,"steps":9}'),
        (
            RunFailed(run_id="a", ts=1.0, attempt=2, error="x"),
            b'{"type":"run_failed","run_id":"a","ts":1.0,"error":"x","attempt":2}',
        ),
    ],
)
def test_what_is_the_default_is_left_out(event: StepEvent | RunStarted | RunCompleted | RunFailed, wire: bytes) -> None:
    assert encode(event) == wire
    assert decode(wire) == event


def test_every_number_of_a_step_may_be_spelled() -> None:
    step = decode(
        b'{"run_id":"a","step":0,"ts":1,"loss":"Infinity","learning_rate":"-Infinity","maxGrad":"Infinity",'
        b'"epoch":"-Infinity","gradNorms":{"a":"Infinity","b":"-Infinity","c":1,"d":null}}'
    )
    assert isinstance(step, StepEvent)
    assert (step.loss, step.learning_rate, step.max_grad, step.epoch) == (INF, -INF, INF, -INF)
    assert step.grad_norms == {"a": INF, "b": -INF, "c": 1.0, "d": None}


@pytest.mark.parametrize("field", ["learning_rate", "maxGrad", "epoch"])
def test_one_spelled_number_among_plain_ones(field: str) -> None:
    step = decode(b'{"run_id":"a","step":0,"ts":1,"loss":2.0,"%s":"NaN"}' % field.encode())
    value = getattr(step, {"maxGrad": "max_grad"}.get(field, field))
    assert isinstance(value, float)
    assert math.isnan(value)


def test_every_number_of_a_signal_may_be_spelled() -> None:
    wire = encode(VALID["signal"])
    for plain in (b'"value":5.0', b'"threshold":5.0', b'"epoch":0.4'):
        assert plain in wire
        wire = wire.replace(plain, plain.partition(b":")[0] + b':"-Infinity"')
    signal = decode_signal(wire)
    assert (signal.value, signal.threshold, signal.epoch) == (-INF, -INF, -INF)
    assert encode(signal) == wire


def test_a_signal_about_a_step_leaves_out_nothing_but_the_regression_and_the_first_version() -> None:
    signal = VALID["signal"]
    assert isinstance(signal, Signal)
    assert set(signal.__struct_fields__) == {
        *("signal_id", "run_id", "project", "attempt", "step", "ts", "type", "severity", "metric", "value"),
        *("threshold", "layers", "epoch", "message", "action", "regression", "version"),
    }
    for field in {*signal.__struct_fields__} - {"regression", "version"}:
        assert b'"%s":' % field.encode() in encode(signal)


def test_a_regression_is_only_in_a_signal_about_a_checkpoint() -> None:
    assert b'"regression"' not in encode(VALID["signal"])
    assert REGRESSED.regression is not None
    for field in REGRESSED.regression.__struct_fields__:
        assert b'"%s":' % field.encode() in encode(REGRESSED)
    assert decode_signal(encode(REGRESSED)) == REGRESSED


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_an_event_cannot_be_changed(name: EventName) -> None:
    event: Event = VALID[name]
    with pytest.raises(AttributeError):
        event.run_id = "b"  # type: ignore[misc]
