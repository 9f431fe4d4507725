"""Trainers that are hurt: what their publishers have kept arrives, in order, and is judged as a replay judges it."""

import random
import time

from msgspec.structs import replace

from producers.spool.folder import folders
from tests.delivered import delivered
from tests.faults.arrived import compared_events
from tests.faults.cases import Case, Figures, How, Place, When
from tests.faults.hurting import Fault, hurt
from tests.faults.judged import judged, lag_in_the_end
from tests.faults.supervised_trainer import RUN_ID, SupervisedTrainer
from tests.worker import running_worker

_HOWS: tuple[How, ...] = ("SIGKILL", "30 SIGKILLs", "SIGTERM", "SIGSTOP", "disk full")
_WHENS: tuple[When, ...] = ("steady load", "catch-up", "recovery")
_STEPS = 600
_MANY_STEPS = 6_000
_PAUSE_SECONDS = 0.005
_GAPS_SECONDS = (0.1, 1.5)
_LEFT_BEHIND = 3
"""attempts that died and left something, where the next one's recovery of it is what is hurt"""


def cases(seed: int) -> list[Case]:
    """Every way to be hurt that a trainer's own disk survives, in every situation that it knows."""
    return [Case("publisher", how, when, seed) for how in _HOWS for when in _WHENS]


def run(case: Case, place: Place) -> Figures:
    """Play the case; nothing of it is left running."""
    rng = random.Random(case.name)
    steps = _MANY_STEPS if case.when == "catch-up" and case.how != "30 SIGKILLs" else _STEPS
    with SupervisedTrainer(place, steps, lambda attempt: _pause_seconds(case, attempt)) as trainer:
        if case.when == "recovery":
            for _ in range(_LEFT_BEHIND):
                trainer.wait_until_kept(100)
                with trainer.held_down():
                    pass
            time.sleep(rng.uniform(0.0, 1.0))
        else:
            trainer.wait_until_kept(rng.randrange(20, 200))
        fault = Fault(case.how, data_dir=trainer.spool, ends_with=-15, gaps_seconds=_GAPS_SECONDS)
        assert case.how == "30 SIGKILLs" or trainer.process.poll() is None, "the fault comes too late"
        hurt(trainer, fault, rng)
        trainer.wait_until_finished()
    with running_worker(place.kafka, place.topics, place.folder / "data"):
        lag = lag_in_the_end(place.kafka, place.topics)
    signals = judged(place.kafka, place.topics, lag=lag)
    arrived = delivered(place.kafka, place.topics, RUN_ID)
    events = compared_events(arrived, trainer.kept, steps)
    return replace(
        signals,
        expected=signals.expected + events.expected,
        missing=signals.missing + events.missing,
        extra=signals.extra + events.extra,
        duplicates=signals.duplicates + events.duplicates,
        lag=lag + len(list(folders(trainer.spool))),
    )


def _pause_seconds(case: Case, attempt: int) -> float:
    """As fast as it goes where there is to be something to catch up with, or to recover."""
    is_fast = case.when == "catch-up" or (case.when == "recovery" and attempt <= _LEFT_BEHIND)
    return 0.0 if is_fast else _PAUSE_SECONDS
