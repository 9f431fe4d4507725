"""How far a worker is behind: records that wait, and for how long at most."""

from stream_app.lag import Lag, LagTracker, Offsets


def held(end: int, *, first: int = 0, committed: int = 0) -> dict[int, Offsets]:
    return {0: Offsets(first=first, end=end, committed=committed)}


def assigned(now: float = 100.0) -> LagTracker:
    tracker = LagTracker()
    tracker.assign([0], now)
    return tracker


def test_a_partition_that_is_read_to_its_end_has_none() -> None:
    tracker = assigned()
    tracker.applied(0, 9, published_at=50.0)
    assert tracker.measure(held(10), 200.0) == {0: Lag(0, 0.0)}
    # The local broker tells an end that is too low.
    assert tracker.measure(held(4), 200.0) == {0: Lag(0, 0.0)}


def test_before_the_first_batch_it_goes_on_where_the_group_was() -> None:
    assert assigned().measure(held(10, committed=7), 130.0) == {0: Lag(3, 30.0)}


def test_records_that_the_broker_has_deleted_do_not_wait() -> None:
    assert assigned().measure(held(10, first=10), 130.0) == {0: Lag(0, 0.0)}
    assert assigned().measure(held(10, first=8, committed=2), 130.0) == {0: Lag(2, 30.0)}


def test_what_waits_is_not_older_than_what_was_applied_or_than_the_last_time_nothing_waited() -> None:
    tracker = assigned()
    tracker.applied(0, 0, published_at=20.0)
    assert tracker.measure(held(5), 120.0) == {0: Lag(4, 100.0)}
    tracker.applied(0, 4, published_at=30.0)
    assert tracker.measure(held(5), 300.0) == {0: Lag(0, 0.0)}
    assert tracker.measure(held(6), 310.0) == {0: Lag(1, 10.0)}


def test_a_record_with_an_older_time_does_not_make_it_longer() -> None:
    tracker = assigned()
    tracker.applied(0, 0, published_at=90.0)
    tracker.applied(0, 1, published_at=10.0)
    assert tracker.measure(held(3), 100.0) == {0: Lag(1, 10.0)}


def test_a_time_in_the_future_is_no_negative_lag() -> None:
    tracker = assigned()
    tracker.applied(0, 0, published_at=900.0)
    assert tracker.measure(held(3), 100.0) == {0: Lag(2, 0.0)}


def test_only_what_is_assigned_and_known_is_measured() -> None:
    tracker = LagTracker()
    tracker.assign([0, 1], now=0.0)
    tracker.applied(7, 3, published_at=0.0)
    assert set(tracker.measure(held(1), 1.0)) == {0}
    tracker.assign([1], now=0.0)
    assert tracker.measure(held(1), 1.0) == {}


def test_an_assignment_starts_anew() -> None:
    tracker = assigned()
    tracker.applied(0, 9, published_at=50.0)
    tracker.assign([0], now=300.0)
    assert tracker.measure(held(20, committed=15), 310.0) == {0: Lag(5, 10.0)}
