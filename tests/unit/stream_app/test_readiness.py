"""A worker is ready when records that arrive are judged, and says what is wrong when it is not."""

import math

import pytest
from msgspec.structs import replace

from stream_app.readiness import BROKER_SILENT_SECONDS, STUCK_SECONDS, Facts, readiness

WELL = Facts(
    broker_silent_seconds=1.0,
    broker_error=None,
    is_rebalancing=False,
    partitions=8,
    has_recovered=True,
    waiting_records=0,
    waiting_seconds=0.0,
    idle_seconds=1e6,
)


def test_a_worker_with_nothing_to_do_is_ready() -> None:
    assert all(check.passes for check in readiness(WELL))


@pytest.mark.parametrize(
    ("changes", "failing", "detail"),
    [
        (
            {"broker_silent_seconds": BROKER_SILENT_SECONDS + 1, "broker_error": "timed out"},
            "broker",
            "does not answer: timed out",
        ),
        ({"broker_silent_seconds": math.inf, "broker_error": "not asked"}, "broker", "does not answer: not asked"),
        ({"is_rebalancing": True}, "partitions", "the group is being rebalanced"),
        ({"has_recovered": False, "waiting_records": 5}, "tables", "being recovered"),
        (
            {"waiting_records": 1_500, "waiting_seconds": 1e4, "idle_seconds": STUCK_SECONDS + 1},
            "batches",
            "1,500 records wait and none was judged for 31 s",
        ),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, object], failing: str, detail: str) -> None:
    checks = {check.name: check for check in readiness(replace(WELL, **changes))}
    assert [name for name, check in checks.items() if not check.passes] == [failing]
    assert checks[failing].detail == detail


def test_records_that_wait_for_a_moment_are_no_reason() -> None:
    busy = replace(WELL, waiting_records=1_500, waiting_seconds=1e4, idle_seconds=STUCK_SECONDS - 1)
    assert all(check.passes for check in readiness(busy))
    after_a_quiet_hour = replace(WELL, waiting_records=1, waiting_seconds=STUCK_SECONDS - 1)
    assert all(check.passes for check in readiness(after_a_quiet_hour))


def test_a_worker_without_a_partition_stands_by() -> None:
    checks = {check.name: check for check in readiness(replace(WELL, partitions=0))}
    assert checks["partitions"].passes
    assert "stands by" in checks["partitions"].detail
