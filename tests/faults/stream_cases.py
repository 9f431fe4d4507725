"""Stream workers that are hurt: their signals, dead letters and states are those of an offline replay all the same."""

import time
from collections.abc import Callable, Mapping
from typing import get_args

from msgspec.structs import replace

from tests.faults.cases import Case, Figures, How, Place, When
from tests.faults.judged import judged, lag_in_the_end
from tests.faults.stage import Stage
from tests.faults.supervised_worker import SupervisedWorker

# Says that it recovers, and takes its time for it, so that a fault can come before it is done.
RECOVERS_SLOWLY = """
import asyncio, sys, time
from faust.stores.rocksdb import Store
from faust.tables.recovery import Recovery
from streakline.cli.main import main

build, apply = Recovery._build_highwaters, Store.apply_changelog_batch

async def build_slowly(self, *arguments):
    print("recovering", file=sys.stderr, flush=True)
    await asyncio.sleep(1.5)
    return await build(self, *arguments)

def apply_slowly(self, *arguments, **options):
    time.sleep(0.2)
    return apply(self, *arguments, **options)

Recovery._build_highwaters = build_slowly
Store.apply_changelog_batch = apply_slowly
main()
"""


def cases(seed: int) -> list[Case]:
    """Every way to be hurt in every situation."""
    return [Case("stream worker", how, when, seed) for how in get_args(How) for when in get_args(When)]


def run(case: Case, place: Place) -> Figures:
    """Play the case; nothing of it is left running."""
    with Stage(case, place) as stage:
        _SITUATIONS[case.when](stage)
        lag = lag_in_the_end(place.kafka, place.topics)
    own = [str(status) for worker in stage.workers for status in worker.deaths]
    figures = judged(place.kafka, place.topics, lag=lag)
    return replace(figures, note=f"ended by themselves with {', '.join(own)}" if own else "")


def _steady_load(stage: Stage) -> None:
    """Two workers share it, and one of them is hurt while trainers go on."""
    stage.supply.publish(0.2)
    stage.let_another_work()
    victim, other = stage.worker("hurt"), stage.worker("other")
    victim.wait_until_ready()
    other.wait_until_ready()
    with stage.supply.load(_seconds(stage)):
        time.sleep(stage.rng.uniform(0.5, 2.0))
        stage.hurt(victim)
        victim.wait_until_ready()


def _catch_up(stage: Stage) -> None:
    """All was published before; the only worker is hurt while it is behind."""
    stage.supply.publish(0.2)
    stage.let_another_work()
    stage.supply.publish_the_rest()
    victim = stage.worker("hurt")
    victim.wait_until_ready()
    time.sleep(stage.rng.uniform(0.0, 0.4))
    stage.hurt(victim)


def _rebalance(stage: Stage) -> None:
    """One worker, then three, then one again; the fault comes while partitions change hands."""
    stage.supply.publish(0.2)
    stage.let_another_work()
    first = stage.worker("first")
    first.wait_until_ready()
    with stage.supply.load(_seconds(stage)):
        joining = stage.worker("second"), stage.worker("third")
        time.sleep(stage.rng.uniform(1.0, 5.0))
        stage.hurt(stage.rng.choice([first, *joining]))
        for worker in joining:
            worker.wait_until_ready()
        for worker in joining:
            worker.close()
            time.sleep(stage.rng.uniform(0.0, 2.0))


def _recovery(stage: Stage) -> None:
    """The fault comes before a worker that begins with an empty data directory has recovered its states."""
    stage.supply.publish(0.2)
    stage.let_another_work()
    stage.supply.publish(0.3)
    with SupervisedWorker(stage.place, "before"):
        lag_in_the_end(stage.place.kafka, stage.place.topics)
    with stage.supply.load(_seconds(stage)):
        victim = stage.worker("hurt", ("-c", RECOVERS_SLOWLY, "stream"))
        victim.wait_until_it_says("recovering")
        time.sleep(stage.rng.uniform(0.0, 1.4))
        assert not victim.is_ready, "the fault comes too late"
        stage.hurt(victim)
        victim.wait_until_ready()


def _seconds(stage: Stage) -> float:
    """In which all would be published, for the load to last about as long as the fault."""
    return 70.0 if stage.case.how == "30 SIGKILLs" else 20.0


_SITUATIONS: Mapping[When, Callable[[Stage], None]] = {
    "steady load": _steady_load,
    "catch-up": _catch_up,
    "rebalance": _rebalance,
    "recovery": _recovery,
}
