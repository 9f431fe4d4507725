"""A learning rate that has run out while the run goes on."""

from typing import Annotated

from msgspec import Meta, Struct

from stream_app.engine.own import OwnDetector
from stream_app.engine.reading import Finding, Reading


class Memory(Struct, frozen=True):
    """What is remembered of one run; the defaults are its beginning."""

    zeros: int = 0
    """steps in a row with a learning rate of 0"""


class Bounds(Struct, frozen=True):
    """What it judges by; the thresholds file may set them."""

    steps: Annotated[int, Meta(ge=1)] = 10


def judge(reading: Reading, memory: Memory, bounds: Bounds) -> tuple[Memory, Finding | None]:
    """Warning where the learning rate has been 0 for 10 steps in a row. A step that tells of none changes nothing.

    >>> from msgspec.structs import replace
    >>> from stream_app.engine.replay import signals_of, steps
    >>> from stream_app.engine.thresholds import ThresholdPolicy, Thresholds
    >>> policy = ThresholdPolicy(Thresholds(own=(detector.named("extra.learning_rate_zero"),)))
    >>> run = [replace(step, learning_rate=0.0) for step in steps(loss=[2.0, 1.5] * 10)]
    >>> [(signal.step, signal.type) for signal in signals_of(run, policy)]
    [(9, 'extra.learning_rate_zero')]
    """
    event = reading.event
    if event.learning_rate is None:
        return memory, None
    zeros = memory.zeros + 1 if event.learning_rate == 0 else 0
    if zeros < bounds.steps:
        return Memory(zeros), None
    return Memory(zeros), Finding(
        severity="warning",
        metric="learning_rate",
        value=float(zeros),
        threshold=float(bounds.steps),
        message=f"the learning rate has been 0 for {zeros} steps at step {event.step}; "
        "end the run, or give its schedule as many steps as it takes",
    )


detector = OwnDetector(judge, memory=Memory, bounds=Bounds)
