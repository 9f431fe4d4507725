"""Killed at any point of a diff: the lake has whole diffs only, each of the same bytes, and no run is lost.

The real engine on small models, a real broker and a real Redis server. The points are tried side by side, each in a
lake of its own, those of one lane after each other on the same topics.
"""

import contextlib
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from tests.diff_pool import Pool, Undisturbed, files_in, made_undisturbed, reader, shown
from tests.killed_diffs import BASE_POINTS, POINTS
from tests.small_diffs import job, write_all, write_probes

LANES = 4


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_all(tmp_path_factory.mktemp("models"))
    write_probes(root / "probes.jsonl", per_kind=1)
    return root


@pytest.fixture(scope="module")
def undisturbed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return made_undisturbed(root, tmp_path_factory.mktemp("undisturbed") / "lake", job(root))


def pool_of_one(broker: str, redis_url: str, root: Path, folder: Path) -> Pool:
    """For one worker after another: who was killed is soon forgotten."""
    return Pool(broker, redis_url, root, folder, partitions=1, lease_seconds=1.0, session_timeout_seconds=2.0)


class Lane:
    """Topics on which one point after the other is tried."""

    def __init__(self, pool: Pool, undisturbed: Undisturbed) -> None:
        self.pool = pool
        self.undisturbed = undisturbed
        self.runs = 0

    def try_point(self, point: str) -> None:
        """A run completes, its worker is killed there, and another one is started.

        It is the same run each time; its diff goes into another lake.
        """
        pool, undisturbed = self.pool, self.undisturbed
        lake = pool.folder / point.replace(" ", "-")
        if point not in BASE_POINTS:
            shutil.copytree(undisturbed.lake / "base_cache", lake / "base_cache")
        look = reader(lake, undisturbed)
        told = len(pool.diffs())
        pool.complete(job(pool.root))
        self.runs += 1

        killed = pool.start(lake, point)
        pool.wait_until(lambda: killed.exit_status is not None, lake, look)
        assert killed.exit_status == -signal.SIGKILL, lake.with_suffix(".log").read_text()
        assert [kind for kind, *_ in pool.notes(lake)].count("killed") == 1
        left = files_in(lake)
        assert left.items() <= files_in(undisturbed.lake).items()
        assert any(lake.rglob(".*.tmp")) == point.startswith(("halfway", "before moving"))
        assert pool.committed() == self.runs or point != "after committing"

        restarted = pool.start(lake)
        pool.wait_until(lambda: pool.is_done(self.runs), lake, look)
        pool.end(restarted, lake)
        assert files_in(lake) == files_in(undisturbed.lake)
        assert shown(lake) == undisturbed.rows
        told_of = pool.diffs()[told:]
        assert 1 <= len(told_of) <= 2
        assert set(told_of) == set(undisturbed.events.values())
        assert pool.dead_letters() == []
        was_whole = any(name.startswith("runs/") for name in left)
        made = [by for kind, *_, by in pool.notes(lake) if kind == "begin" and by == str(restarted.pid)]
        assert len(made) == (0 if was_whole else 1)


@pytest.fixture(scope="module")
def tried(
    request: pytest.FixtureRequest,
    broker: str,
    redis_url: str,
    root: Path,
    undisturbed: Undisturbed,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Future[None]]]:
    """What becomes of a point; those that are asked for in this session are tried beforehand."""
    asked = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
    points = [each.params["point"] for each in asked if each is not None and "point" in each.params]
    lanes: SimpleQueue[Lane] = SimpleQueue()

    def try_point(point: str) -> None:
        try:
            lane = lanes.get_nowait()
        except Empty:
            folder = tmp_path_factory.mktemp("lane")
            pool = Pool(broker, redis_url, root, folder, partitions=1, lease_seconds=1.0, session_timeout_seconds=2.0)
            lane = Lane(pool, undisturbed)
        # A lane on which a point failed is not used any more.
        with contextlib.ExitStack() as failed:
            failed.callback(lane.pool.close)
            lane.try_point(point)
            failed.pop_all()
            lanes.put(lane)

    with ThreadPoolExecutor(LANES) as threads:
        beforehand = {point: threads.submit(try_point, point) for point in points}
        # Whoever asks a second time, since it failed, wants it tried again.
        yield lambda point: beforehand.pop(point, None) or threads.submit(try_point, point)
        threads.shutdown(cancel_futures=True)
    while not lanes.empty():
        lanes.get().pool.close()


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(point: str, tried: Callable[[str], Future[None]]) -> None:
    tried(point).result()


@pytest.mark.parametrize("last", ["after moving runs", "after telling"])
def test_the_last_try_counts_where_it_ended_in_the_lake(
    broker: str, redis_url: str, root: Path, undisturbed: Undisturbed, tmp_path: Path, last: str
) -> None:
    pool = pool_of_one(broker, redis_url, root, tmp_path)
    lake = tmp_path / "lake"
    with contextlib.closing(pool):
        pool.complete(job(root))
        for point in ("within reading", "within reading", last):
            killed = pool.start(lake, point)
            pool.wait_until(lambda: killed.exit_status is not None, lake)  # noqa: B023 - waited for at once
        last_one = pool.start(lake)
        pool.wait_until(lambda: pool.is_done(1), lake)
        pool.end(last_one, lake)
        assert set(pool.diffs()) == set(undisturbed.events.values())
        assert pool.dead_letters() == []
        assert shown(lake) == undisturbed.rows
