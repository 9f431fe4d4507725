"""Which failed diffs stop a worker that has no Redis."""

from typing import get_args

import pytest

from producers.events import DiffFailed, DiffFailure
from producers.redis.client import connect
from workers.coordination.board import Board
from workers.errors import FailureLimitReached
from workers.failure_limit import OF_THE_WORKER, FailureLimit


def failure(reason: DiffFailure) -> DiffFailed:
    return DiffFailed(run_id="sft-7", ts=1.0, reason=reason, error="the lake is\naway: look at it")


def limit(most: int) -> FailureLimit:
    # Nothing listens on that port.
    return FailureLimit(Board(connect("redis://127.0.0.1:1/0"), "p."), most)


@pytest.mark.parametrize("reason", sorted(OF_THE_WORKER))
def test_as_many_in_a_row_as_the_setting_says(reason: DiffFailure) -> None:
    counted = limit(3)
    for _ in range(2):
        counted.failed(failure(reason))
    counted.succeeded()
    for _ in range(2):
        counted.failed(failure(reason))
    with pytest.raises(FailureLimitReached) as raised:
        counted.failed(failure(reason))
    assert str(raised.value) == (
        "this diff worker stops: 3 model diffs in a row failed through no fault of their runs, the last, of sft-7, as "
        f"{reason}: 'the lake is\\naway: look at it'; mend the worker, or raise STREAKLINE_MAX_CONSECUTIVE_FAILURES "
        "(3) to let them into the dead letters"
    )


@pytest.mark.parametrize("reason", sorted(set(get_args(DiffFailure)) - OF_THE_WORKER))
def test_what_is_the_runs_own_fault_neither_counts_nor_ends_the_row(reason: DiffFailure) -> None:
    counted = limit(2)
    for _ in range(10):
        counted.failed(failure(reason))
    counted.failed(failure("internal"))
    counted.failed(failure(reason))
    with pytest.raises(FailureLimitReached):
        counted.failed(failure("internal"))
