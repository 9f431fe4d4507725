"""A diff worker that was paused for longer than its lease comes too late: it changes nothing of what the next one made.

Each of the two adds digits of its own to the scores, as another device would, so that what either has written shows.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.codec import encode
from streakline.redis_server import running_redis
from tests.diff_pool import Pool, files_in
from tests.faults.diff_stage import models
from tests.small_diffs import job


@pytest.fixture
def pool(broker: str, tmp_path: Path) -> Iterator[Pool]:
    with running_redis() as url:
        pool = Pool(broker, url, models(), tmp_path, partitions=1, lease_seconds=1.0, session_timeout_seconds=2.0)
        yield pool
        pool.close()


def test_who_was_paused_beyond_its_lease_tells_nothing_of_what_the_next_one_has_told(pool: Pool) -> None:
    """Nor writes: `tests/faults/test_worker_guards.py` pauses it in the middle of a file."""
    lake = pool.folder / "lake"
    late = pool.start(lake, "after moving runs", number=signal.SIGSTOP, digits=1e-6)
    pool.complete(job(pool.root))
    pool.wait_until(lambda: any(kind == "killed" for kind, *_ in pool.notes(lake)), lake)
    pool.start(lake, digits=2e-6)
    pool.wait_until(lambda: pool.is_done(1), lake)
    written, told = files_in(lake), pool.diffs()
    late.send_signal(signal.SIGCONT)
    pool.wait_until(lambda: "is handed back" in lake.with_suffix(".log").read_text(), lake)
    pool.end(late, lake)
    assert files_in(lake) == written
    assert [encode(event) for event in pool.diffs()] == [encode(event) for event in told]
    assert len(told) == 1
