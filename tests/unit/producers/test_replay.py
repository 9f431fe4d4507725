import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.codec import MalformedEvent, decode, encode
from producers.events import RunStarted, StepEvent
from producers.replay import Pace, recorded, recorded_as_is

STEP = b' {"run_id": "a", "step": 3, "ts": 1.5, "loss": "NaN", "from": "the future"}\r'


def test_an_event_is_published_as_the_bytes_it_came_as() -> None:
    event = recorded(STEP)
    assert (event.value, event.key, event.ts, event.is_lifecycle) == (STEP, b"a", 1.5, False)


def test_a_lifecycle_event_is_known() -> None:
    assert recorded(encode(RunStarted(run_id="a", ts=1.0))).is_lifecycle


def test_an_event_gets_another_run_and_attempt() -> None:
    event = recorded(STEP, run_id="b", attempt=7)
    again = decode(event.value)
    assert isinstance(again, StepEvent)
    assert (event.key, again.run_id, again.attempt, again.step) == (b"b", "b", 7, 3)


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(MalformedEvent, match="not_json"):
        recorded(b"{")


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (b'{"run_id": "a/b", "step": -1}', b"a/b"),
        (b'{"step": 1, "run_id" :\t"a"', b"a"),
        (b'{"run_id": "a b"}', None),
        (b'{"run_id": 3}', None),
        (b"\xff\x00", None),
    ],
)
def test_a_malformed_line_has_the_key_that_can_be_found(raw: bytes, key: bytes | None) -> None:
    event = recorded_as_is(raw)
    assert (event.value, event.key, event.ts, event.is_lifecycle) == (raw, key, None, False)


@given(st.binary())
def test_any_bytes_can_be_published_as_they_are(raw: bytes) -> None:
    assert recorded_as_is(raw).value == raw


def test_events_are_due_as_they_were_recorded() -> None:
    pace = Pace(2.0)
    assert [pace.wait_seconds(ts, now=10.0) for ts in (100.0, 101.0, 99.0, None, 110.0)] == [0.0, 0.5, 0.0, 0.0, 5.0]
    assert pace.wait_seconds(101.0, now=12.0) == 0.0


@given(st.floats(0.001, 1000), st.lists(st.floats(allow_nan=False, allow_infinity=False)), st.floats(0, 1e9))
def test_nothing_is_ever_due_before_now(speed: float, recorded_at: list[float], now: float) -> None:
    pace = Pace(speed)
    assert all(pace.wait_seconds(ts, now) >= 0 for ts in recorded_at)


@given(st.lists(st.floats(allow_nan=False) | st.none()))
def test_as_fast_as_possible_never_waits(recorded_at: list[float | None]) -> None:
    assert not any(Pace(0.0).wait_seconds(ts, 0.0) for ts in recorded_at)
