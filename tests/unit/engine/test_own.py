"""Detectors of installed packages among ours: their memory, their turn, their faults."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from producers.events import RunStarted, Signal, StepEvent, TrainerEvent
from stream_app.engine.evaluate import evaluate
from stream_app.engine.own import MAX_ERROR_CHARACTERS, OwnDetector, OwnFailure
from stream_app.engine.reading import Finding, Reading
from stream_app.engine.replay import Replay, signals_of, steps
from stream_app.engine.state import MAX_OWN_STATE_BYTES, RunState, decode_state, encode_state
from stream_app.engine.thresholds import ThresholdPolicy, Thresholds, parse_policy

TYPE = "team.check"


class Seen(Struct, frozen=True):
    steps: int = 0
    text: str = ""


class Bounds(Struct, frozen=True):
    every: int = 4


Judge = Callable[[Reading, Seen, Bounds], tuple[Seen, Finding | None]]


def finding(**changes: Any) -> Finding:
    fields: dict[str, Any] = {"severity": "info", "metric": "loss", "value": 1.0, "threshold": None, "message": "seen"}
    return Finding(**fields | changes)


def counting(reading: Reading, seen: Seen, bounds: Bounds) -> tuple[Seen, Finding | None]:
    """Finds something on each fourth step that it sees."""
    count = seen.steps + 1
    return Seen(count), finding(value=float(count)) if count % bounds.every == 0 else None


def policy_with(*judges: Judge, cooldown_steps: int = 0) -> ThresholdPolicy:
    """They are called team.check, team.check_1 and so on."""
    own = tuple(
        OwnDetector(judge, memory=Seen, bounds=Bounds).named(f"{TYPE}_{index}" if index else TYPE)
        for index, judge in enumerate(judges)
    )
    return ThresholdPolicy(Thresholds(own=own, cooldown_steps=cooldown_steps))


def fired(events: list[StepEvent], policy: ThresholdPolicy) -> list[tuple[int, str]]:
    return [(signal.step, signal.type) for signal in signals_of(events, policy)]


def test_it_remembers_from_step_to_step_and_forgets_with_the_attempt() -> None:
    events = steps(loss=[1.0, 2.0] * 5)
    assert fired(events, policy_with(counting)) == [(3, TYPE), (7, TYPE)]
    again = [*events[:3], *(replace(event, attempt=1) for event in events[:4])]
    assert [(s.attempt, s.step) for s in signals_of(again, policy_with(counting))] == [(1, 3)]


def test_what_it_remembers_survives_the_encoding_of_the_state() -> None:
    policy, state, signals = policy_with(counting), RunState(), list[Signal]()
    for event in steps(loss=[1.0, 2.0] * 5):
        outcome = evaluate(decode_state(encode_state(state)), event, policy)
        state = outcome.state
        signals += [outcome.signal] if outcome.signal else []
    assert signals == list(signals_of(steps(loss=[1.0, 2.0] * 5), policy))


def test_an_event_that_does_not_count_is_not_shown_to_it() -> None:
    events = steps(loss=[1.0, 2.0, 1.0])
    assert fired([*events, *events, *events], policy_with(counting)) == []


def test_ours_come_first_and_it_sees_the_step_all_the_same() -> None:
    events = steps(loss=[1.0, 2.0, 1.0, math.nan, 1.0, 2.0, 1.0, 2.0])
    assert fired(events, policy_with(counting)) == [(3, "non_finite"), (7, TYPE)]


def test_one_that_is_cooling_down_does_not_block_the_next() -> None:
    policy = policy_with(counting, counting, cooldown_steps=5)
    assert fired(steps(loss=[1.0, 2.0] * 6), policy) == [(3, TYPE), (7, f"{TYPE}_1"), (11, TYPE)]


def test_a_run_may_ask_to_be_stopped_on_it() -> None:
    started = RunStarted(run_id="run", ts=0.0, early_stop=(TYPE,))
    (signal,) = signals_of([started, *steps(loss=[1.0, 2.0] * 2)], policy_with(counting))
    assert (signal.action, signal.signal_id) == ("stop", f"run/0/3/{TYPE}")


def test_its_bounds_are_the_projects() -> None:
    detector = OwnDetector(counting, memory=Seen, bounds=Bounds).named(TYPE)
    policy = parse_policy(
        b'[default]\ncooldown_steps = 0\n[default.own."team.check"]\nevery = 2\n'
        b'[projects.slow]\ndead_streak = 9\n[projects.slow.own."team.check"]\nevery = 3\n',
        [detector],
    )
    assert policy.of("slow").dead_streak == 9
    assert fired(steps(loss=[1.0, 2.0, 1.0, 2.0]), policy) == [(1, TYPE), (3, TYPE)]
    slow: list[TrainerEvent] = [RunStarted(run_id="run", ts=0.0, project="slow"), *steps(loss=[1.0, 2.0, 1.0, 2.0])]
    assert [signal.step for signal in signals_of(slow, policy)] == [2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[default.own."team.other"]\nevery = 2\n', "'team.other' has bounds and is not installed"),
        ('[default.own."team.check"]\nevry = 2\n', "'team.check' has no bound evry; it has every"),
        ('[default.own."team.check"]\nevery = 2.5\n', "'team.check' cannot have these bounds: Expected `int`"),
        ("[default]\nown = 2\n", "'own' is not as it has to be"),
        ("[default.bounds.check]\nevery = 2\n", "'bounds' is not as it has to be"),
    ],
)
def test_bounds_that_cannot_be_right(text: str, says: str) -> None:
    detector = OwnDetector(counting, memory=Seen, bounds=Bounds).named(TYPE)
    with pytest.raises(ValueError, match=says):
        parse_policy(text.encode(), [detector])


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


def raising(error: Exception) -> Judge:
    def judge(reading: Reading, seen: Seen, bounds: Bounds) -> tuple[Seen, Finding | None]:
        if reading.event.step == 1:
            raise error
        return counting(reading, seen, bounds)

    return judge


def giving(answer: object) -> Judge:
    def judge(reading: Reading, seen: Seen, bounds: Bounds) -> tuple[Seen, Finding | None]:
        return answer if reading.event.step == 1 else counting(reading, seen, bounds)  # type: ignore[return-value]

    return judge


@pytest.mark.parametrize(
    ("judge", "says"),
    [
        (raising(KeyError("lr")), "KeyError: 'lr'"),
        (raising(RecursionError()), "RecursionError"),
        (raising(MemoryError()), "MemoryError"),
        (raising(Unprintable()), "Unprintable: <exception str() failed>"),
        (raising(ValueError("x" * 10_000)), "ValueError: xxx"),
        (giving(None), "TypeError: cannot unpack"),
        (giving((None, None)), "it remembers a NoneType, not a Seen"),
        (giving((Seen(text="x" * MAX_OWN_STATE_BYTES), None)), "there is room for 4,096"),
        (giving((Seen(text="\ud800"), None)), "UnicodeEncodeError"),
        (giving((Seen(), "found")), "Expected `object`, got `str`"),
        (giving((Seen(), finding(severity="fatal"))), "Invalid enum value 'fatal'"),
        (giving((Seen(), finding(value="high"))), "Expected `float`, got `str`"),
        (giving((Seen(), finding(value=1j))), "complex"),
        (giving((Seen(), finding(message="x" * 5_000))), "length <= 4096"),
        (giving((Seen(), finding(message="\udfff"))), "UnicodeEncodeError"),
        (giving((Seen(), finding(layers={"a": -1}))), ">= 0"),
    ],
)
def test_one_that_fails_says_nothing_begins_anew_and_leaves_the_others_alone(judge: Judge, says: str) -> None:
    failures: list[OwnFailure] = []
    replay = Replay(policy_with(judge, counting), failures.append)
    signals = [replay.apply(event) for event in steps(loss=[1.0, 2.0] * 4)]
    assert [(failure.type, failure.run_id, failure.step) for failure in failures] == [(TYPE, "run", 1)]
    assert says in failures[0].error
    assert len(failures[0].error) <= MAX_ERROR_CHARACTERS
    # Of the failing one the fourth step after the failure, of the other the fourth of all.
    assert [(s.step, s.type) for s in signals if s] == [(3, f"{TYPE}_1"), (5, TYPE), (7, f"{TYPE}_1")]


def test_a_memory_that_a_newer_version_cannot_read_begins_anew() -> None:
    failures: list[OwnFailure] = []
    replay = Replay(policy_with(counting), failures.append)
    replay.states["run"] = RunState(attempt=0, own={TYPE: b"\x93\x01\x02\x03"})
    signals = [replay.apply(event) for event in steps(loss=[1.0, 2.0] * 3)]
    assert ["ValidationError" in failure.error for failure in failures] == [True]
    assert [signal.step for signal in signals if signal] == [4]


def test_of_a_detector_that_is_gone_nothing_is_remembered_and_its_emission_does_no_harm() -> None:
    replay = Replay(policy_with(counting, cooldown_steps=30))
    events = steps(loss=[1.0, 2.0] * 5)
    for event in events[:5]:
        replay.apply(event)
    state = decode_state(encode_state(replay.states["run"]))
    assert state.own.keys() == state.emissions.keys() == {TYPE}
    after = evaluate(state, events[5], ThresholdPolicy()).state
    assert after.own == {}
    assert after.emissions == state.emissions


def test_it_cannot_change_what_another_step_remembers() -> None:
    class Kept(Struct):
        steps: list[int] = []

    def judge(reading: Reading, kept: Kept, bounds: Bounds) -> tuple[Kept, Finding | None]:
        kept.steps.append(reading.event.step)
        return kept, finding(value=float(len(kept.steps)))

    own = OwnDetector(judge, memory=Kept, bounds=Bounds).named(TYPE)
    policy = ThresholdPolicy(Thresholds(own=(own,), cooldown_steps=0))
    event = steps(loss=[1.0])[0]
    values = [evaluate(RunState(), event, policy).signal for _ in range(3)]
    assert [signal.value for signal in values if signal] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("memory", "bounds"), [(dict, Bounds), (Seen, int), (Seen(), Bounds)])
def test_what_it_remembers_and_its_bounds_are_structs(memory: Any, bounds: Any) -> None:
    with pytest.raises(TypeError, match=r"is no msgspec\.Struct"):
        OwnDetector(counting, memory=memory, bounds=bounds)
