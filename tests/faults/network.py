"""What a network does to a client of the broker, and how long; afterwards all is well again."""

import os
import random
import time
from collections.abc import Callable, Sequence

import pytest
from msgspec import Struct

from tests.faulty_broker import FaultyBroker

SESSION_SECONDS = 3.0
"""of the workers in these tests"""
_LONG_SECONDS = SESSION_SECONDS + 5.0
"""the broker has given a silent worker's partitions away by then"""


class Fault(Struct, frozen=True):
    """One that comes and goes; `strike` returns when it is over."""

    name: str
    strike: Callable[[FaultyBroker], None]


def _for(seconds: float, begin: Callable[[FaultyBroker], None]) -> Callable[[FaultyBroker], None]:
    def strike(front: FaultyBroker) -> None:
        begin(front)
        time.sleep(seconds)
        front.forward()

    return strike


def _cut_every_second(front: FaultyBroker) -> None:
    for _ in range(8):
        front.cut()
        time.sleep(1.0)


def _lose_answers(front: FaultyBroker) -> None:
    front.hold_answers()
    time.sleep(4.0)
    front.reset()
    front.forward()


def _is_slow(front: FaultyBroker) -> None:
    front.bytes_per_second = 20_000


def _is_far(front: FaultyBroker) -> None:
    front.delay_seconds = 0.3


_SUDDEN = (
    FaultyBroker.cut,
    FaultyBroker.reset,
    FaultyBroker.pause,
    FaultyBroker.hold_answers,
    FaultyBroker.swallow,
    FaultyBroker.refuse,
    _is_slow,
    _is_far,
)

CUT = Fault("cut", FaultyBroker.cut)
RESET = Fault("reset", FaultyBroker.reset)
CUT_EVERY_SECOND = Fault("cut every second", _cut_every_second)
HALF_OPEN = Fault("half-open", _for(_LONG_SECONDS, FaultyBroker.pause))
ANSWERS_LATE = Fault("answers late", _for(_LONG_SECONDS, FaultyBroker.hold_answers))
ANSWERS_LOST = Fault("answers lost", _lose_answers)
SWALLOWED = Fault("swallowed", _for(4.0, FaultyBroker.swallow))
REFUSED = Fault("refused", _for(_LONG_SECONDS, FaultyBroker.refuse))
SLOW = Fault("slow", _for(_LONG_SECONDS, _is_slow))
FAR = Fault("far", _for(_LONG_SECONDS, _is_far))


def storm(seed: int) -> Fault:
    """One fault after the other for half a minute, each of any length; the same for the same seed."""

    def strike(front: FaultyBroker) -> None:
        rng = random.Random(seed)
        over = time.monotonic() + 30.0
        while time.monotonic() < over:
            rng.choice(_SUDDEN)(front)
            time.sleep(rng.choice((0.1, 1.0, 5.0)) * rng.random())
            if rng.random() < 0.5:
                front.reset()
            front.forward()
            time.sleep(2.0 * rng.random())

    return Fault(f"storm {seed}", strike)


STORMS = (storm(0), storm(1), storm(2))

FAULTS = (CUT, RESET, CUT_EVERY_SECOND, HALF_OPEN, ANSWERS_LATE, ANSWERS_LOST, SWALLOWED, REFUSED, SLOW, FAR, *STORMS)


def faults(*always: Fault, among: Sequence[Fault] = FAULTS) -> pytest.MarkDecorator:
    """Gives a test the `fault` that it meets `always`, and with STREAKLINE_FAULTS=all every one."""
    chosen = among if os.environ.get("STREAKLINE_FAULTS") == "all" else always
    return pytest.mark.parametrize("fault", chosen, ids=[fault.name.replace(" ", "-") for fault in chosen])
