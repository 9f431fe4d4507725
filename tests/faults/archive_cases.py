"""Archivers that are hurt: every event is in the lake all the same, and once."""

import time
from collections.abc import Callable, Mapping
from typing import get_args

from tests.faults.archive_judged import judged, lag_in_the_end
from tests.faults.archive_stage import LOAD_SECONDS, ArchiveStage
from tests.faults.cases import Case, Figures, How, Place, When


def cases(seed: int) -> list[Case]:
    """Every way to be hurt in every situation; its data are the lake itself.

    That one is only taken from an archiver that is alone: what nobody but the topics has any more is written again
    when the next one begins, and not by those that go on.
    """
    return [
        Case("archiver", how, when, seed)
        for how in get_args(How)
        for when in _SITUATIONS
        if when == "catch-up" or not how.startswith("data")
    ]


def run(case: Case, place: Place) -> Figures:
    """Play the case; nothing of it is left running."""
    with ArchiveStage(case, place) as stage:
        _SITUATIONS[case.when](stage)
        lag = lag_in_the_end(place, stage.lake)
    return judged(place, stage.lake, lag=lag)


def _steady_load(stage: ArchiveStage) -> None:
    """Two archivers share it, and one of them is hurt while trainers go on."""
    stage.archiver()
    with stage.supply.load(LOAD_SECONDS):
        stage.wait_for_files(1)
        # Not the first, as of the diff workers.
        victim = stage.archiver()
        time.sleep(stage.rng.uniform(0.0, 4.0))
        stage.hurt(victim)


def _catch_up(stage: ArchiveStage) -> None:
    """Most was published before; the only archiver is hurt while it is behind."""
    stage.supply.publish(0.2)
    stage.let_another_work()
    stage.supply.publish(0.6)
    victim = stage.archiver()
    stage.wait_for_files(1)
    time.sleep(stage.rng.uniform(0.0, 0.5))
    stage.hurt(victim)
    stage.supply.publish_the_rest()


def _rebalance(stage: ArchiveStage) -> None:
    """One archiver, then three, then one again; it is hurt while partitions change hands."""
    stage.archiver()
    with stage.supply.load(LOAD_SECONDS):
        stage.wait_for_files(1)
        victim, other = stage.archiver(), stage.archiver()
        time.sleep(stage.rng.uniform(0.5, 3.0))
        stage.hurt(victim)
        for each in (victim, other):
            each.close()


_SITUATIONS: Mapping[When, Callable[[ArchiveStage], None]] = {
    "steady load": _steady_load,
    "catch-up": _catch_up,
    "rebalance": _rebalance,
}
