"""A worker stands still where it gets no further with getting ready, and the broker is not to blame."""

from msgspec.structs import replace

from stream_app.standstill import Progress, Standstill

RECOVERING = Progress(is_ready=False, generation=3, recovered=100)


def seconds(still: Standstill, progress: Progress, now: float, *, silent: float = 1.0) -> float:
    return still.seconds(progress, broker_silent_seconds=silent, now=now)


def test_without_any_progress_the_time_runs() -> None:
    still = Standstill(now=0.0)
    assert seconds(still, RECOVERING, 10.0) == 0.0
    assert seconds(still, RECOVERING, 130.0) == 120.0


def test_any_progress_begins_anew() -> None:
    still = Standstill(now=0.0)
    seconds(still, RECOVERING, 10.0)
    assert seconds(still, replace(RECOVERING, recovered=101), 100.0) == 0.0
    assert seconds(still, replace(RECOVERING, generation=4), 200.0) == 0.0
    assert seconds(still, replace(RECOVERING, generation=4), 230.0) == 30.0


def test_a_broker_that_is_away_is_no_standstill() -> None:
    still = Standstill(now=0.0)
    seconds(still, RECOVERING, 10.0)
    assert seconds(still, RECOVERING, 500.0, silent=float("inf")) == 0.0
    assert seconds(still, RECOVERING, 510.0) == 10.0


def test_a_worker_that_is_ready_may_have_nothing_to_do() -> None:
    still, ready = Standstill(now=0.0), replace(RECOVERING, is_ready=True)
    seconds(still, ready, 10.0)
    assert seconds(still, ready, 5_000.0) == 0.0
