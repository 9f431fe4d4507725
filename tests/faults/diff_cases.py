"""Diff workers that are hurt: each completed run has one diff all the same, of the bytes of an undisturbed one."""

import time
from collections.abc import Callable, Mapping
from typing import get_args

from streakline.redis_server import running_redis
from tests.diff_pool import reader
from tests.faults.cases import Case, Figures, How, Place, When
from tests.faults.diff_judged import judged
from tests.faults.diff_stage import RUNS, DiffStage, undisturbed


def cases(seed: int) -> list[Case]:
    """Every way to be hurt in every situation; a diff worker keeps nothing that another could not use, or recover."""
    hows = [how for how in get_args(How) if how != "data of another"]
    return [Case("diff worker", how, when, seed) for how in hows for when in _SITUATIONS]


def run(case: Case, place: Place) -> Figures:
    """Play the case; nothing of it is left running."""
    with running_redis() as redis_url, DiffStage(case, place, redis_url) as stage:
        _SITUATIONS[case.when](stage)
        stage.pool.wait_until(lambda: stage.pool.is_done(RUNS), stage.lake, reader(stage.lake, undisturbed()))
        return judged(stage.pool, stage.lake, undisturbed())


# Who joined first leads its group, and is not hurt where others are there: Tansu, the local broker, keeps a leader that
# left while others joined for ever, and gives nobody any partition. Apache Kafka chooses another one.


def _steady_load(stage: DiffStage) -> None:
    """Two workers, one run after another completes, and one of the two is hurt."""
    stage.worker()
    stage.complete(2)
    stage.wait_for_work()
    victim = stage.worker()
    for _ in range(RUNS - 3):
        time.sleep(stage.rng.uniform(0.2, 1.0))
        stage.complete(1)
    stage.hurt(victim)
    stage.complete(1)


def _catch_up(stage: DiffStage) -> None:
    """All runs have completed, and the only worker is hurt."""
    stage.complete()
    victim = stage.worker()
    stage.wait_for_work()
    stage.hurt(victim)


def _rebalance(stage: DiffStage) -> None:
    """One worker, then three, then one again; one is hurt while partitions change hands."""
    stage.worker()
    stage.complete(2)
    stage.wait_for_work()
    victim, other = stage.worker(), stage.worker()
    stage.complete()
    time.sleep(stage.rng.uniform(0.0, 2.0))
    stage.hurt(victim)
    for each in (victim, other):
        each.close()


_SITUATIONS: Mapping[When, Callable[[DiffStage], None]] = {
    "steady load": _steady_load,
    "catch-up": _catch_up,
    "rebalance": _rebalance,
}
