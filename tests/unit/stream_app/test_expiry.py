"""A finished run's state goes after its delay, a silent one's after a day, any other's never."""

import pytest

from stream_app.expiry import expired_keys, is_expired
from stream_app.raw_records import RowKey
from stream_app.records import VERSION, RunHead, StateHead
from stream_app.settings import StreamSettings

SETTINGS = StreamSettings(finished_run_seconds=100.0, abandoned_run_seconds=1000.0)


def head(*, has_ended: bool, seen_at: float) -> RunHead:
    return RunHead(VERSION, StateHead(0, 1, has_ended, "default"), seen_at)


@pytest.mark.parametrize(
    ("has_ended", "age_seconds", "expired"),
    [(True, 100.0, False), (True, 100.5, True), (False, 100.5, False), (False, 1000.0, False), (False, 1000.5, True)],
)
def test_age_and_end_decide(*, has_ended: bool, age_seconds: float, expired: bool) -> None:
    run = head(has_ended=has_ended, seen_at=5000.0)
    assert is_expired(run, SETTINGS, 5000.0 + age_seconds) is expired


def test_only_the_expired_are_named() -> None:
    old, new = (head(has_ended=True, seen_at=seen_at) for seen_at in (0.0, 950.0))
    assert expired_keys([(RowKey(0, b"old"), old), (RowKey(1, b"new"), new)], SETTINGS, 1000.0) == [RowKey(0, b"old")]
