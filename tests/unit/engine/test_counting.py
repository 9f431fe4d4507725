"""Which events count, and what `evaluate` says of those that do not."""

import math

from producers.events import RunCompleted, RunFailed, RunStarted, StepEvent, TrainerEvent
from stream_app.engine.evaluate import evaluate
from stream_app.engine.replay import signals_of
from stream_app.engine.state import RunState
from stream_app.engine.thresholds import ThresholdPolicy

POLICY = ThresholdPolicy()


def step(index: int, *, attempt: int = 0, dead: bool = False) -> StepEvent:
    norms: dict[str, float | None] = {"mlp": 0.0 if dead else 1.0}
    return StepEvent(
        run_id="run", attempt=attempt, step=index, ts=0.0, loss=2.0 + index % 2, max_grad=0.5, grad_norms=norms
    )


def started(attempt: int) -> RunStarted:
    return RunStarted(run_id="run", ts=0.0, attempt=attempt, project=f"project-{attempt}")


def after(*events: TrainerEvent) -> RunState:
    state = RunState()
    for event in events:
        state = evaluate(state, event, POLICY).state
    return state


def assert_ignored(state: RunState, event: TrainerEvent) -> None:
    outcome = evaluate(state, event, POLICY)
    assert outcome.state is state
    assert outcome.signal is None
    assert not outcome.counted


def test_the_first_event_of_a_run_counts_whatever_its_attempt_and_step() -> None:
    for attempt, index in ((0, 0), (0, 7), (1767225600, 0), (2**63 - 1, 2**63 - 1)):
        outcome = evaluate(RunState(), step(index, attempt=attempt), POLICY)
        assert outcome.counted
        assert (outcome.state.attempt, outcome.state.last_step) == (attempt, index)


def test_duplicates_and_late_steps_are_ignored() -> None:
    state = after(step(0), step(5))
    for index in (5, 4, 0):
        assert_ignored(state, step(index))
    assert evaluate(state, step(6), POLICY).counted


def test_nothing_of_an_old_attempt_counts() -> None:
    state = after(step(3, attempt=2))
    for event in (
        step(4, attempt=1),
        started(1),
        RunCompleted(run_id="run", ts=0.0, attempt=1, steps=4),
        RunFailed(run_id="run", ts=0.0, attempt=0, error="x"),
    ):
        assert_ignored(state, event)


def test_an_ignored_step_advances_no_streak() -> None:
    four = [step(index, dead=True) for index in range(4)]
    assert list(signals_of([*four, *[four[-1]] * 5, *four])) == []
    assert [signal.step for signal in signals_of([*four, *four, step(4, dead=True)])] == [4]


def test_a_restart_through_a_step_or_a_start_empties_all_that_was_measured() -> None:
    before = after(started(0), *[step(index, dead=True) for index in range(8)])
    assert before.other_streaks == {"mlp": 8}
    assert before.emissions
    by_step = evaluate(before, step(0, attempt=1), POLICY).state
    assert (by_step.losses, by_step.max_grads) == ((2.0,), (0.5,))
    assert (by_step.other_streaks, by_step.emissions, by_step.last_step) == ({}, {}, 0)
    by_start = evaluate(before, started(1), POLICY).state
    assert by_start == RunState(attempt=1, project="project-1")


def test_a_start_of_the_same_attempt_keeps_all_that_was_measured() -> None:
    before = after(*[step(index, dead=True) for index in range(8)])
    outcome = evaluate(before, started(0), POLICY)
    assert outcome.counted
    assert outcome.state.project == "project-0"
    assert outcome.state.losses == before.losses
    assert outcome.state.max_grads == before.max_grads
    assert outcome.state.other_streaks == before.other_streaks
    assert outcome.state.emissions == before.emissions
    assert outcome.state.last_step == before.last_step


def test_an_end_counts_once_and_nothing_but_a_greater_attempt_reopens_the_run() -> None:
    completed = RunCompleted(run_id="run", ts=0.0, steps=1)
    first = evaluate(after(step(0)), completed, POLICY)
    assert first.counted
    for again in (completed, RunFailed(run_id="run", ts=0.0, error="x")):
        assert not evaluate(first.state, again, POLICY).counted
    assert_ignored(first.state, step(1))
    assert_ignored(evaluate(first.state, started(0), POLICY).state, step(1))
    assert evaluate(first.state, step(0, attempt=1), POLICY).counted


def test_an_end_of_a_greater_attempt_ends_that_attempt_before_its_first_step() -> None:
    ended = after(step(0), RunFailed(run_id="run", ts=0.0, attempt=1, error="x"))
    assert_ignored(ended, step(1))
    assert_ignored(ended, step(0, attempt=1))
    assert evaluate(ended, step(0, attempt=2), POLICY).counted


def test_runs_do_not_see_each_other() -> None:
    def of(run_id: str, index: int, loss: float) -> StepEvent:
        return StepEvent(run_id=run_id, step=index, ts=0.0, loss=loss)

    mixed = [of(run, index, math.nan) for index in range(2) for run in ("a", "b")]
    assert [signal.signal_id for signal in signals_of(mixed)] == ["a/0/0/non_finite", "b/0/0/non_finite"]
