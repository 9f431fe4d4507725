"""When a checkpoint is told to have fallen behind, and that coming again changes nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.codec import decode_signal, encode
from producers.events import CategoryScore, DiffCompleted, Signal
from stream_app.histories import ProjectHistory, decode_history, encode_history
from stream_app.regressing import MAX_RUNS, MAX_SUPERSEDED, advance, latest_deltas

BASE, OTHER = "ab" * 8, "ba" * 8
NUMBER = iter(range(1, 1 << 30))


def diff(
    run_id: str,
    ts: float,
    scores: dict[str, float],
    *,
    attempt: int = 0,
    base_sha: str = BASE,
    probes_sha: str = BASE,
    n: int = 100,
    error: float = 0.0,
) -> DiffCompleted:
    """A diff with an id of its own."""
    return DiffCompleted(
        run_id=run_id,
        ts=ts,
        attempt=attempt,
        project="p",
        diff_id=f"{next(NUMBER):016x}",
        base_sha=base_sha,
        ft_sha="cd" * 8,
        probes_sha=probes_sha,
        categories=tuple(
            CategoryScore(category=category, score=score, n=n, standard_error=error)
            for category, score in scores.items()
        ),
    )


def told(*events: DiffCompleted) -> list[Signal]:
    return after(*events)[1]


def after(*events: DiffCompleted, history: ProjectHistory | None = None) -> tuple[ProjectHistory, list[Signal]]:
    history, signals = history or ProjectHistory(), []
    for event in events:
        history, fired = advance(history, event)
        signals += fired
    return history, signals


@pytest.mark.parametrize(("score", "drop"), [(0.70, None), (0.6999, 501), (0.80, None), (0.0, 7500)])
def test_more_than_five_points_below_the_run_before(score: float, drop: int | None) -> None:
    signals = told(diff("a", 1, {"math": 0.75}), diff("b", 2, {"math": score}))
    assert [signal.regression and signal.regression.drop_basis_points for signal in signals] == [drop][: len(signals)]
    assert bool(signals) == (drop is not None)


def test_the_first_run_is_compared_with_nothing() -> None:
    assert told(diff("a", 1, {"math": 0.0})) == []


def test_the_run_before_is_the_bar_and_not_the_best() -> None:
    events = diff("a", 1, {"m": 0.80}), diff("b", 2, {"m": 0.76}), diff("c", 3, {"m": 0.72}), diff("d", 4, {"m": 0.68})
    assert told(*events) == []


def test_what_a_signal_says() -> None:
    first = diff("team/a", 1, {"math": 0.75, "code": 0.5}, n=400, error=0.03)
    second = diff("team/b", 2, {"math": 0.65, "code": 0.5}, attempt=3, error=0.04)
    (signal,) = told(first, second)
    assert (signal.signal_id, signal.type, signal.severity) == (
        *("team/b/3/0/category_regressed/math", "category_regressed"),
        "warning",
    )
    assert (signal.run_id, signal.project, signal.attempt, signal.step, signal.ts) == ("team/b", "p", 3, 0, 2)
    assert (signal.metric, signal.value, signal.threshold) == ("score.math", 0.65, 0.7)
    assert (signal.layers, signal.epoch, signal.action) == (None, None, None)
    assert signal.message == (
        "math: the checkpoint scores 65.00%, 10.00 points below the 75.00% of run team/a before it"
    )
    regression = signal.regression
    assert regression is not None
    assert (regression.category, regression.diff_id) == ("math", second.diff_id)
    assert (regression.prior_run_id, regression.prior_score) == ("team/a", 0.75)
    assert (regression.n, regression.prior_n) == (100, 400)
    assert regression.standard_error == pytest.approx(0.05)
    assert regression.significant
    assert decode_signal(encode(signal)) == signal


@pytest.mark.parametrize(("error", "significant"), [(0.0, True), (0.036, True), (0.0361, False), (1e308, False)])
def test_a_drop_is_significant_beyond_1_96_errors_of_the_difference(error: float, significant: bool) -> None:
    (signal,) = told(diff("a", 1, {"m": 0.75}, error=error), diff("b", 2, {"m": 0.65}, error=error))
    assert signal.regression is not None
    assert signal.regression.significant == significant
    assert math.isfinite(signal.regression.standard_error)
    assert signal.message.endswith(", which may be chance at 100 questions") != significant
    assert decode_signal(encode(signal)) == signal


def test_a_known_diff_changes_nothing_and_is_not_told_again() -> None:
    first, second = diff("a", 1, {"m": 0.9}), diff("b", 2, {"m": 0.1})
    history, _ = after(first, second)
    for event in (first, second):
        same, signals = advance(history, event)
        assert same is history
        assert signals == []


def test_a_batch_that_was_told_and_not_stored_is_told_again_with_the_same_ids() -> None:
    stored, _ = after(diff("a", 1, {"m": 0.9}))
    event = diff("b", 2, {"m": 0.1, "x": 0.5})
    assert [*map(encode, advance(stored, event)[1])] == [*map(encode, advance(stored, event)[1])]


@pytest.mark.parametrize("change", [{"base_sha": OTHER}, {"probes_sha": OTHER}])
def test_another_base_or_other_probes_begin_a_new_series(change: dict[str, str]) -> None:
    first = diff("a", 1, {"m": 0.9})
    changed = diff("b", 2, {"m": 0.5}, base_sha=change.get("base_sha", BASE), probes_sha=change.get("probes_sha", BASE))
    back = diff("c", 3, {"m": 0.1})
    history, signals = after(first, changed, back)
    assert signals == []
    assert latest_deltas(history) == {}


def test_a_late_diff_is_compared_with_the_one_before_it_and_is_the_bar_of_nobody_judged() -> None:
    early, late, last = diff("a", 1, {"m": 0.9}), diff("b", 2, {"m": 0.6}), diff("c", 3, {"m": 0.5})
    history, signals = after(early, last, late)
    assert [(each.run_id, each.regression and each.regression.prior_run_id) for each in signals] == [
        ("c", "a"),
        ("b", "a"),
    ]
    assert [run.run_id for run in history.runs] == ["a", "b", "c"]
    assert latest_deltas(history) == {"m": -0.1}


def test_a_category_is_compared_with_the_last_run_that_has_it() -> None:
    events = diff("a", 1, {"m": 0.9, "x": 0.9}), diff("b", 2, {"x": 0.9}), diff("c", 3, {"m": 0.5})
    (signal,) = told(*events)
    assert signal.regression is not None
    assert signal.regression.prior_run_id == "a"


def test_another_diff_of_a_run_takes_its_place() -> None:
    first, wrong, right = diff("a", 1, {"m": 0.9}), diff("b", 2, {"m": 0.3}), diff("b", 2, {"m": 0.88})
    history, signals = after(first, wrong, right)
    assert len(signals) == 1
    assert [run.diff_id for run in history.runs] == [first.diff_id, right.diff_id]
    assert latest_deltas(history) == {"m": -0.02}
    assert advance(history, wrong) == (history, [])
    many = [diff("b", 2, {"m": 0.88}) for _ in range(MAX_SUPERSEDED + 2)]
    history, _ = after(*many, history=history)
    assert history.runs[-1].superseded == tuple(each.diff_id for each in many[-MAX_SUPERSEDED - 1 : -1])


def test_another_attempt_of_a_run_is_another_run() -> None:
    (signal,) = told(diff("a", 1, {"m": 0.9}), diff("a", 2, {"m": 0.5}, attempt=1))
    assert signal.regression is not None
    assert signal.regression.prior_run_id == "a"


def test_a_diff_without_scores_is_nothing() -> None:
    history, _ = after(diff("a", 1, {"m": 0.9}))
    assert advance(history, diff("b", 2, {}))[0] is history


def test_a_history_is_bounded_and_what_fell_out_stays_out() -> None:
    events = [diff(f"run-{index}", index, {"m": 0.9}) for index in range(MAX_RUNS + 3)]
    history, _ = after(*events)
    assert [run.run_id for run in history.runs] == [event.run_id for event in events[3:]]
    for event in events[:3]:
        assert advance(history, event)[0] is history


SCORES = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 20).map(lambda twentieth: twentieth / 20), max_size=3)


@st.composite
def streams(draw: st.DrawFn) -> list[DiffCompleted]:
    """Runs of one project in order of completion, with other models between, each with its diff."""
    scores = draw(st.lists(SCORES, max_size=12))
    bases = draw(st.lists(st.sampled_from([BASE, BASE, OTHER]), min_size=len(scores), max_size=len(scores)))
    pairs = enumerate(zip(scores, bases, strict=True))
    return [diff(f"run-{ts}", ts, each, base_sha=base) for ts, (each, base) in pairs]


@given(streams(), st.data())
def test_what_comes_again_in_any_order_tells_the_same(events: list[DiffCompleted], data: st.DataObject) -> None:
    history, expected = after(*events)
    stream: list[DiffCompleted] = []
    for end in range(1, len(events) + 1):
        again = data.draw(st.lists(st.sampled_from(events[:end]), max_size=3))
        stream += [events[end - 1], *again]
    again_history, signals = after(*stream)
    assert [*map(encode, signals)] == [*map(encode, expected)]
    assert again_history == history
    assert decode_history(encode_history(history)) == history


@given(streams().flatmap(st.permutations))
def test_the_history_does_not_depend_on_the_order_of_arrival(events: list[DiffCompleted]) -> None:
    in_order = sorted(events, key=lambda event: event.ts)
    assert after(*events)[0] == after(*in_order)[0]
