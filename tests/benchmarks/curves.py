"""Losses and gradient norms as trainings have them, made up from a seed, with a trouble that begins at a known step."""

import random
from collections.abc import Callable, Iterator

from msgspec import Struct

from producers.events import StepEvent

ONSET = 30
"""steps before the trouble begins: every window is full"""
LEVEL = 2.0
"""loss before the trouble"""

Value = Callable[[int, random.Random], float]
"""of a step, counted from the onset: negative before it"""


class Curve(Struct, frozen=True):
    """What a run logs, step by step."""

    loss: Value = lambda _, chance: chance.gauss(LEVEL, 0.2)
    """by default one on which nothing fires"""
    norm: Value | None = None
    """largest gradient norm, and that of its one layer"""
    length: int = 200
    """steps after the onset"""

    def steps(self, seed: int) -> Iterator[StepEvent]:
        """Of one run."""
        chance = random.Random(seed)
        for step in range(-ONSET, self.length):
            norm = None if self.norm is None else self.norm(step, chance)
            yield StepEvent(
                run_id=f"run-{seed}",
                step=step + ONSET,
                ts=0.0,
                loss=self.loss(step, chance),
                max_grad=norm,
                grad_norms=None if norm is None else {"layers.0.mlp": norm},
            )


def rising(rise: float, noise: float) -> Curve:
    """A loss that rises by as much each step, each step's batch moving it by `noise` (standard deviation)."""
    return Curve(loss=lambda step, chance: chance.gauss(LEVEL + rise * max(0, step), noise))


def running_away(growth: float, noise: float) -> Curve:
    """A loss whose distance from what it was, first 0.05, grows by the factor `growth` each step."""
    return Curve(
        loss=lambda step, chance: chance.gauss(LEVEL + (0.05 * growth**step if step >= 0 else 0), noise), length=100
    )


def jumping(by: float, noise: float) -> Curve:
    """A loss that is higher from one step on, and stays there."""
    return Curve(loss=lambda step, chance: chance.gauss(LEVEL + (by if step >= 0 else 0), noise))


def spiking(times: float, spread: float, norm: float = 1.0) -> Curve:
    """One norm that is `times` the median `norm`; the others log-normal, `spread` their logarithm's deviation."""
    return Curve(
        norm=lambda step, chance: norm * (chance.lognormvariate(0, spread) if step else times),
        length=1,
    )


def growing(factor: float, spread: float) -> Curve:
    """A gradient norm that grows by `factor` each step, to a million times what it was."""
    return Curve(norm=lambda step, chance: min(1e6, factor ** max(0, step)) * chance.lognormvariate(0, spread))


def vanishing(half_life: float) -> Curve:
    """A gradient norm of 0.1 that halves every so many steps."""
    return Curve(norm=lambda step, _: 0.1 * 0.5 ** (max(0, step) / half_life), length=2000)


def flickering(dead_share: float) -> Curve:
    """A layer that has no gradient on this share of the steps, at random, and a small one on the others."""
    return Curve(norm=lambda step, chance: 0.0 if step >= 0 and chance.random() < dead_share else 1e-3)


def flat(fall: float, noise: float) -> Curve:
    """A loss that falls by the share `fall` each step, and that each batch moves by the share `noise` of itself.

    Before the onset it falls by 3 % each step.
    """

    def loss(step: int, chance: random.Random) -> float:
        fallen: float = (1 - fall) ** step if step >= 0 else 0.97**step
        return LEVEL * fallen * chance.gauss(1, noise)

    return Curve(loss=loss)


def healthy(noise: float, spread: float) -> Curve:
    """A thousand steps of a loss that falls ever slower from 4 towards 1.5; each batch moves it by the share `noise`.

    Its gradient norms are log-normal around one that falls from 2.4 towards 0.4.
    """
    return Curve(
        loss=lambda step, chance: (1.5 + 2.5 * 0.997 ** (step + ONSET)) * chance.gauss(1, noise),
        norm=lambda step, chance: (0.4 + 2 * 0.99 ** (step + ONSET)) * chance.lognormvariate(0, spread),
        length=1000 - ONSET,
    )
