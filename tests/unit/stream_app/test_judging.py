"""Batches against the offline replay: however a topic is cut into batches, the signals are the same."""

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.codec import encode
from producers.events import RunCompleted, RunStarted, Signal, StepEvent, TrainerEvent
from stream_app.engine.evaluate import Outcome, evaluate
from stream_app.engine.replay import signals_of, steps
from stream_app.engine.state import RunState
from stream_app.engine.thresholds import ThresholdPolicy
from stream_app.judging import Judgement, judge
from stream_app.raw_records import RawRecord, RefusedBatch, RowKey
from stream_app.records import VERSION, RunRecord
from stream_app.versions import UnreadableRecord

POLICY = ThresholdPolicy()
NOW = 1_000.0
STUCK = {"layers.0.mlp": 0.0, "layers.1.self_attn": 0.0}


def record(event: TrainerEvent, offset: int = 0) -> RawRecord:
    return RawRecord(0, offset, event.run_id.encode(), encode(event), NOW)


def judge_alone(*records: RawRecord) -> Judgement:
    return judge(records, lambda _: None, POLICY, NOW)


def judge_in_batches(records: Sequence[RawRecord], cuts: Sequence[int]) -> list[Signal]:
    runs: dict[RowKey, RunRecord] = {}
    signals: list[Signal] = []
    edges = [0, *sorted(cuts), len(records)]
    for start, end in pairwise(edges):
        judgement = judge(records[start:end], runs.get, POLICY, NOW)
        runs.update(judgement.runs)
        signals += judgement.signals
    return signals


def two_runs() -> list[TrainerEvent]:
    diverging = steps(loss=[float(i) for i in range(40)], run_id="diverging")
    dead = steps(grad_norms=[STUCK] * 40, run_id="dead")
    pairs = [event for pair in zip(diverging, dead, strict=True) for event in pair]
    return [RunStarted(run_id="dead", ts=0.0, project="vision", early_stop=("dead_layers",)), *pairs]


@given(st.lists(st.integers(0, 81), max_size=12))
def test_signals_do_not_depend_on_where_batches_are_cut(cuts: list[int]) -> None:
    events = two_runs()
    records = [record(event, offset) for offset, event in enumerate(events)]
    expected = list(signals_of(events))
    assert len(expected) >= 4
    assert judge_in_batches(records, cuts) == expected


@given(st.integers(0, 80), st.integers(0, 80))
def test_a_redelivered_stretch_changes_nothing(start: int, end: int) -> None:
    events = two_runs()
    records = [record(event, offset) for offset, event in enumerate(events)]
    redelivered = [*records[:end], *records[min(start, end) :]]
    assert judge_in_batches(redelivered, [end]) == list(signals_of(events))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"a", b"rubbish", "not_json"),
        (b"a", None, "not_json"),
        (b"a", b'{"run_id": "a", "step": 1, "ts": 1}', "invalid"),
        (b"a", b" " * (1 << 20) + b"{}", "too_large"),
        (b"b", encode(steps(loss=[1.0], run_id="a")[0]), "wrong_key"),
        (None, encode(steps(loss=[1.0], run_id="a")[0]), "wrong_key"),
        (None, RefusedBatch(b"compressed", "batch_too_large", "of 5 GiB", 3), "batch_too_large"),
    ],
)
def test_what_is_no_event_of_its_run_is_refused_with_a_reason(
    key: bytes | None, value: bytes | None, reason: str
) -> None:
    raw = RawRecord(0, 7, key, value, NOW)
    judgement = judge_alone(raw)
    assert [(refusal.record, refusal.reason) for refusal in judgement.refusals] == [(raw, reason)]
    assert judgement.runs == {}
    assert judgement.signals == []


def test_a_hostile_key_is_never_looked_up() -> None:
    def load(key: RowKey) -> RunRecord:
        raise AssertionError(key)

    hostile = RawRecord(0, 0, b"__faust\0offset__", encode(steps(loss=[1.0])[0]), NOW)
    assert [refusal.reason for refusal in judge([hostile], load, POLICY, NOW).refusals] == ["wrong_key"]


def test_an_event_that_the_engine_cannot_take_is_refused_and_the_others_go_on() -> None:
    names = [[f"{block}.{i}" for i in range(9_000)] for block in range(2)]
    events = [
        StepEvent(run_id="a", step=step, ts=0.0, loss=1.0, grad_norms=dict.fromkeys(layers, 0.0))
        for step, layers in enumerate(names)
    ]
    after = StepEvent(run_id="a", step=2, ts=0.0, loss=float("nan"))
    judgement = judge_alone(*map(record, [*events, after]))
    assert [(refusal.reason, refusal.detail) for refusal in judgement.refusals] == [
        ("too_large", "18,000 dead layers; a run has at most 16,384")
    ]
    assert [signal.type for signal in judgement.signals] == ["non_finite"]


def test_a_defect_costs_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(state: RunState, event: TrainerEvent, policy: ThresholdPolicy) -> Outcome:
        if event.run_id == "cursed":
            raise ZeroDivisionError("why")
        return evaluate(state, event, policy)

    monkeypatch.setattr("stream_app.judging.evaluate", broken)
    cursed, blessed = (StepEvent(run_id=run_id, step=1, ts=0.0, loss=float("nan")) for run_id in ("cursed", "blessed"))
    judgement = judge_alone(record(cursed), record(blessed))
    assert [(refusal.reason, refusal.detail) for refusal in judgement.refusals] == [
        ("failed", "ZeroDivisionError: why")
    ]
    assert [signal.run_id for signal in judgement.signals] == ["blessed"]


def test_a_stored_state_that_cannot_be_read_stops_the_batch() -> None:
    def load(key: RowKey) -> RunRecord:
        raise UnreadableRecord(key.name.decode())

    with pytest.raises(UnreadableRecord):
        judge([record(steps(loss=[1.0])[0])], load, POLICY, NOW)


def test_only_runs_that_changed_are_written_and_the_rest_is_counted() -> None:
    step = steps(loss=[1.0, 1.0])[1]
    seen = RunRecord(VERSION, RunState(attempt=0, last_step=5), 0.0)
    judgement = judge([record(step), record(step)], lambda _: seen, POLICY, NOW)
    assert judgement.runs == {}
    assert judgement.ignored == 2


def test_the_end_of_a_run_is_in_band() -> None:
    nan = StepEvent(run_id="a", step=9, ts=0.0, loss=float("nan"))
    judgement = judge_alone(record(RunCompleted(run_id="a", ts=0.0, steps=9)), record(nan))
    assert judgement.signals == []
    assert judgement.ignored == 1


def test_every_partition_has_its_own_states() -> None:
    step = steps(loss=[1.0])[0]
    here, there = record(step), msgspec.structs.replace(record(step), partition=1)
    assert set(judge_alone(here, there).runs) == {RowKey(0, b"run"), RowKey(1, b"run")}


def test_the_times_of_counted_steps_are_given_and_no_others() -> None:
    first, second = steps(loss=[1.0, 2.0])
    events: list[TrainerEvent] = [
        RunStarted(run_id="run", ts=50.0),
        first,
        second,
        first,
        RunCompleted(run_id="run", ts=60.0, steps=2),
    ]
    assert judge_alone(*map(record, events)).step_times == [0.0, 1.0]
