"""One row of what Redis and the lake know of a run."""

from typing import Any

import pytest
from msgspec.structs import replace

from streakline.dashboard.rows import HEIGHTS, LakeRun, LastSignal, drawn, merged
from stream_app.live import LiveSignal
from tests.live_writing import live_run

NOW = 1_700_000_000.0
LIVE = live_run("a", attempt=3, event_at=NOW, signal=LiveSignal(type="dead_layers", severity="warning", step=7, at=NOW))
LAKE = LakeRun(
    run_id="a",
    project="archived",
    attempt=3,
    started=NOW - 60,
    last_step=5,
    loss=2.0,
    event_at=NOW - 30,
    losses=(3.0, 2.0),
    signal=LastSignal("loss_plateau", "info", 4, NOW - 30),
    diff_id="0" * 16,
)


def changed(**values: Any) -> LakeRun:
    return replace(LAKE, **values)


def test_what_redis_has_is_newer_and_the_lake_adds_what_redis_lacks() -> None:
    row = merged(LIVE, LAKE, NOW)
    assert (row.project, row.last_step, row.loss, row.event_at) == ("assistant", 10, 1.5, NOW)
    assert (row.started, row.diff_id, row.is_live) == (NOW - 60, "0" * 16, True)
    assert row.signal == LastSignal("dead_layers", "warning", 7, NOW)
    assert merged(replace(LIVE, last_signal=None), LAKE, NOW).signal == LAKE.signal


@pytest.mark.parametrize("state", ["running", "ended"])
def test_the_end_that_the_lake_knows_holds(state: Any) -> None:
    live = replace(LIVE, state=state)
    assert merged(live, changed(ending="failed"), NOW).state == "failed"
    assert merged(live, changed(ending="failed", attempt=2), NOW).state == state


def test_of_two_attempts_the_later_one_is_shown() -> None:
    row = merged(LIVE, changed(attempt=4, ending="completed"), NOW)
    assert (row.attempt, row.state, row.last_step, row.is_live) == (4, "completed", 5, True)
    assert merged(LIVE, changed(attempt=2), NOW).attempt == 3


def test_a_run_that_only_the_lake_knows_runs_for_a_day_after_its_last_event() -> None:
    assert merged(None, LAKE, NOW).state == "running"
    assert merged(None, LAKE, NOW + 86_400).state == "ended"
    assert merged(None, changed(event_at=None), NOW).state == "ended"
    assert merged(None, changed(project=None), NOW).project == "default"


def test_an_attempt_may_say_when_it_began() -> None:
    assert merged(replace(LIVE, attempt=1_700_000_000), None, NOW).started == NOW
    assert merged(LIVE, None, NOW).started is None


def test_numbers_that_a_browser_would_change_are_not_shown() -> None:
    row = merged(replace(LIVE, attempt=2**70, last_step=2**53), None, NOW)
    assert (row.attempt, row.last_step) == (0, None)


def test_something_has_to_be_known() -> None:
    with pytest.raises(ValueError, match="no run"):
        merged(None, None, NOW)


def test_the_curve_is_drawn_between_its_lowest_and_its_highest() -> None:
    assert drawn([]) == drawn([None, None]) == ""
    assert drawn([1.0, 1.0]) == "AA"
    assert drawn([-1e308, 1e308, None]) == f"A{HEIGHTS[-1]} "
    assert len(merged(live_run("a", sparkline=range(1000)), None, NOW).sparkline) == 32
