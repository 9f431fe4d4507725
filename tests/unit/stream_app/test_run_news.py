"""What is shown of a run: right, bounded, and with every extreme."""

import itertools
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from producers.codec import decode_signal, encode
from producers.events import RunCompleted, RunFailed, RunStarted, Signal, StepEvent, TrainerEvent
from stream_app.engine.replay import steps
from stream_app.engine.state import RunState
from stream_app.engine.thresholds import ThresholdPolicy
from stream_app.judging import judge
from stream_app.live import (
    MAX_BATCHES,
    MAX_LAYERS,
    MAX_POINTS,
    MAX_SIGNALS,
    SPARKLINE_POINTS,
    LiveBatch,
    LivePoint,
    LiveRun,
    LiveSignal,
)
from stream_app.raw_records import RawRecord, RowKey
from stream_app.records import VERSION, Latest, Mark, RunRecord, decode_record, encode_record
from stream_app.run_news import RunNews, joined, kept_batches, live_batch, live_run, news_of, spread, thinned

NOW = 1e9
KEY = RowKey(0, b"run")
NAN = float("nan")

figures = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32)
curves = st.lists(st.tuples(figures, figures), max_size=600).map(
    lambda pairs: [LivePoint(step, loss, max_grad) for step, (loss, max_grad) in enumerate(pairs)]
)


def step(number: int, loss: float = 1.0, max_grad: float | None = 0.5, attempt: int = 0) -> StepEvent:
    return StepEvent(run_id="run", step=number, ts=NOW, loss=loss, max_grad=max_grad, attempt=attempt)


def after(*batches: list[TrainerEvent]) -> list[RunNews]:
    """What each batch brought of the run, stored in between as a table does."""
    runs: dict[RowKey, RunRecord] = {}
    found: list[RunNews] = []
    for batch in batches:
        records = [RawRecord(0, index, b"run", encode(event), NOW) for index, event in enumerate(batch)]
        judged = judge(records, runs.get, ThresholdPolicy(), NOW)
        runs |= {key: decode_record(encode_record(record)) for key, record in judged.runs.items()}
        found += news_of(judged).values()
    return found


def bare_news(
    *, attempt: int = 0, points: list[LivePoint] | None = None, signals: list[Signal] | None = None
) -> RunNews:
    run = live_run("run", RunRecord(VERSION, RunState(attempt=attempt), NOW))
    return RunNews(run, NOW, points or [], signals or [])


def a_signal(number: int, layers: dict[str, int] | None = None) -> Signal:
    (found,) = after([step(number, NAN)])[0].signals
    return replace(found, layers=layers)


def test_a_batch_brings_the_run_its_steps_and_its_signals() -> None:
    started = RunStarted(run_id="run", ts=NOW, project="p", attempt=7)
    (news,) = after(
        [started, step(1, 2.5, attempt=7), step(2, NAN, math.inf, attempt=7), step(3, 2.0, None, attempt=7)]
    )
    assert news.run == LiveRun(
        run_id="run",
        project="p",
        attempt=7,
        state="running",
        last_step=3,
        loss=2.0,
        max_grad=0.5,
        event_at=NOW,
        sparkline=(2.5, 2.0),
        last_signal=LiveSignal(type="non_finite", severity="critical", step=2, at=NOW),
    )
    assert news.points == [LivePoint(1, 2.5, 0.5), LivePoint(2, None, None), LivePoint(3, 2.0, None)]
    assert [signal.type for signal in news.signals] == ["non_finite"]
    assert news.seen_at == NOW


def test_a_gradient_norm_of_the_layers_is_shown_where_there_is_no_other() -> None:
    (news,) = after(list(steps(grad_norms=[{"a": 0.5, "b": 2.0, "c": None}])))
    assert [point.max_grad for point in news.points] == [2.0]


def test_what_is_ignored_is_no_news() -> None:
    first, *others = after([step(1), step(1, 9.0)], [step(1, 9.0)], [RunCompleted(run_id="run", ts=NOW, steps=1)])
    assert first.points == [LivePoint(1, 1.0, 0.5)]
    assert [(news.run.state, list(news.points)) for news in others] == [("completed", [])]


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([step(1)], "running"),
        ([RunCompleted(run_id="run", ts=NOW, steps=1)], "completed"),
        ([RunFailed(run_id="run", ts=NOW, error="x")], "failed"),
        ([RunFailed(run_id="run", ts=NOW, error="x"), RunCompleted(run_id="run", ts=NOW, steps=1)], "failed"),
        ([RunCompleted(run_id="run", ts=NOW, steps=1), RunStarted(run_id="run", ts=NOW)], "completed"),
        ([RunCompleted(run_id="run", ts=NOW, steps=1), step(1, attempt=1)], "running"),
        ([RunFailed(run_id="run", ts=NOW, error="x"), RunStarted(run_id="run", ts=NOW, attempt=1)], "running"),
    ],
)
def test_how_a_run_ended_is_known_however_its_events_are_cut(events: list[TrainerEvent], state: str) -> None:
    assert after(events)[-1].run.state == state
    assert after(*([event] for event in events))[-1].run.state == state


def test_of_a_run_that_ended_before_that_was_kept_nobody_knows_how() -> None:
    latest = ("event_at", "loss", "grad_norm", "is_replay", "marks")
    old = tuple(getattr(Latest(5.0, 1.0, 0.5), name) for name in latest)
    raw = msgspec.msgpack.encode((VERSION, RunState(attempt=1, last_step=3, has_ended=True), 12.5, old))
    shown = live_run("run", decode_record(raw))
    assert (shown.state, shown.event_at, shown.loss, shown.max_grad) == ("ended", 5.0, 1.0, 0.5)
    assert decode_record(raw).latest == Latest(5.0, 1.0, 0.5)


def test_a_worker_of_before_reads_how_a_run_ended_as_nothing() -> None:
    class Before(msgspec.Struct, array_like=True):
        event_at: float
        loss: float | None
        grad_norm: float | None
        is_replay: bool
        marks: dict[str, dict[str, Mark]]

    raw = msgspec.msgpack.encode(Latest(5.0, ending="failed"))
    assert msgspec.msgpack.decode(raw, type=Before) == Before(5.0, None, None, False, {})


def test_of_a_run_that_was_only_announced_nothing_is_known() -> None:
    shown = live_run("run", RunRecord(VERSION, RunState(attempt=0), NOW))
    assert (shown.last_step, shown.loss, shown.max_grad, shown.event_at, shown.last_signal) == (None,) * 5
    assert shown.sparkline == ()


def test_the_last_signal_is_the_latest_and_of_two_at_once_the_more_severe() -> None:
    marks: Latest = Latest(
        marks={
            "loss_plateau": {"info": Mark(5.0, 50)},
            "gradient_spike": {"warning": Mark(9.0, 90), "critical": Mark(9.0, 80)},
        }
    )
    shown = live_run("run", RunRecord(VERSION, RunState(), NOW, marks))
    assert shown.last_signal == LiveSignal(type="gradient_spike", severity="critical", step=80, at=9.0)


@given(curves)
def test_thinning_keeps_both_ends_every_extreme_and_the_bound(points: list[LivePoint]) -> None:
    left = thinned(points)
    assert len(left) <= MAX_POINTS
    steps_left = [point.step for point in left]
    assert steps_left == sorted(set(steps_left))
    assert set(steps_left) <= {point.step for point in points}
    if len(points) <= MAX_POINTS:
        assert left == points
    else:
        assert (left[0], left[-1]) == (points[0], points[-1])
    for figure in ("loss", "max_grad"):
        before, since = (
            [value for point in some if (value := getattr(point, figure)) is not None] for some in (points, left)
        )
        assert (min(before, default=0), max(before, default=0)) == (min(since, default=0), max(since, default=0))


@given(st.integers(MAX_POINTS + 1, 2_000), st.data())
def test_a_spike_is_kept_wherever_it_is(count: int, data: st.DataObject) -> None:
    """Seven of them, far from each other, of any height above the rest."""
    share = count // 7
    spikes = {
        data.draw(st.integers(part * share, (part + 1) * share - 1)): data.draw(st.floats(3.0, 1e6))
        for part in range(0, 7, 2)
    }
    points = [LivePoint(at, 1.0 + at % 3 / 10, spikes.get(at, 1.0 + at % 5 / 10)) for at in range(count)]
    kept = {point.step for point in thinned(points)}
    assert set(spikes) <= kept


@given(st.lists(st.integers(1, 300), min_size=1, max_size=12), st.data())
def test_however_much_waits_it_is_bounded_and_keeps_the_highest_spike(sizes: list[int], data: st.DataObject) -> None:
    number = itertools.count()
    news, highest = bare_news(), 0.0
    for size in sizes:
        norms = data.draw(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=3))
        points = [LivePoint(next(number), 1.0, norms[index % len(norms)]) for index in range(size)]
        highest = max(highest, *(point.max_grad or 0.0 for point in points))
        news = joined(news, bare_news(points=points, signals=[a_signal(points[0].step)] * 5))
        assert len(news.points) <= 4 * MAX_POINTS
        assert len(news.signals) <= MAX_SIGNALS
    batch = live_batch(news)
    assert len(batch.points) <= MAX_POINTS
    assert max(point.max_grad or 0.0 for point in batch.points) == float(f"{highest:.6g}")


def test_the_newest_signals_are_kept() -> None:
    news = bare_news(signals=[a_signal(number) for number in range(10)])
    both = joined(news, bare_news(signals=[a_signal(number) for number in range(10, 20)]))
    assert [signal.step for signal in both.signals] == list(range(4, 20))


def test_another_attempt_leaves_no_steps_of_the_one_before_and_all_its_signals() -> None:
    older = bare_news(points=[LivePoint(9, 1.0, None)], signals=[a_signal(9)])
    both = joined(older, bare_news(attempt=1, points=[LivePoint(0, 2.0, None)]))
    assert (both.run.attempt, list(both.points)) == (1, [LivePoint(0, 2.0, None)])
    assert [signal.step for signal in both.signals] == [9]
    (news,) = after([step(9), step(0, NAN), step(0, 2.0, attempt=1)])
    assert list(news.points) == [LivePoint(0, 2.0, 0.5)]


def test_a_batch_is_json_and_its_signals_are_as_on_the_topic() -> None:
    batch = live_batch(after([step(1, 1.23456789), step(2, NAN)])[0])
    raw = encode(batch)
    assert msgspec.json.decode(raw)["points"] == [[1, 1.23457, 0.5], [2, None, 0.5]]
    (sent,) = msgspec.json.decode(raw)["signals"]
    assert sent["value"] == "NaN"
    back = msgspec.json.decode(raw, type=LiveBatch)
    assert encode(back) == raw
    assert encode(decode_signal(msgspec.json.encode(sent))) == encode(batch.signals[0])


def test_of_a_signal_about_thousands_of_layers_the_first_are_shown() -> None:
    layers = {f"layer.{index}": 10_000 - index for index in range(5_000)}
    (shown,) = live_batch(bare_news(signals=[a_signal(1, layers)])).signals
    assert shown.layers == dict(list(layers.items())[:MAX_LAYERS])


def test_a_fast_run_keeps_fewer_batches() -> None:
    counts = [0, 1, 2, 8, MAX_POINTS]
    kept = [kept_batches(LiveBatch(attempt=0, points=(LivePoint(1, 1.0, 1.0),) * count)) for count in counts]
    assert kept == [MAX_BATCHES, MAX_BATCHES, 500, 125, 31]


@given(st.lists(st.floats(allow_nan=False), max_size=1_000))
def test_a_sparkline_is_short_and_ends_with_the_last_loss(losses: list[float]) -> None:
    line = spread(tuple(losses))
    assert len(line) == min(len(losses), SPARKLINE_POINTS)
    assert line[-1:] == tuple(losses[-1:])
