"""What the demo's trainers go through, and the signals that have to come of it."""

import math
from typing import Literal, get_args

from msgspec import Struct

from producers.events import DetectorType

SEED = 0
GROWTH = 1.5
"""of an exploding learning rate, each step"""


class Scenario(Struct, frozen=True, kw_only=True):
    """One training run: how it is set up, what goes wrong, and what has to be said about it."""

    name: str
    story: str
    steps: int
    expected: tuple[DetectorType, ...] = ()
    """each of them has to fire"""
    forbidden: tuple[DetectorType, ...]
    """none of them may; the others may or may not"""
    early_stop: tuple[DetectorType, ...] = ()

    optimizer: Literal["adamw", "sgd"] = "adamw"
    """sgd: with a momentum of 0.98"""
    clip: float = 1.0
    """largest norm of all gradients together"""
    batch: int = 4
    """sequences"""
    batch_is_fixed: bool = False
    """every step sees the first step's batch"""
    peak_rate: float
    """learning rate after 20 steps of warm-up"""
    final_rate: float = 0.0
    """as a fraction of the peak, at the end of a cosine decay"""
    decay_steps: int
    """at which the decay has ended"""
    explodes_at: int | None = None
    """from this step on the learning rate grows by half each step"""
    shut_at: int | None = None
    """at this step the gates of `shut_modules` shut"""
    shut_modules: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        """The run's name, unless it is given another."""
        return f"demo-{self.name}"

    def learning_rate(self, step: int) -> float:
        """The learning rate at `step`."""
        warmed_up = min(1.0, (step + 1) / 20)
        decay = 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / self.decay_steps))
        rate = self.peak_rate * warmed_up * (self.final_rate + (1 - self.final_rate) * decay)
        return rate if self.explodes_at is None else rate * GROWTH ** max(0, step - self.explodes_at)


SCENARIOS = (
    Scenario(
        name="healthy",
        story="a transformer that learns a river station's log; nothing goes wrong",
        steps=300,
        forbidden=get_args(DetectorType),
        peak_rate=3e-3,
        final_rate=0.1,
        decay_steps=300,
    ),
    Scenario(
        name="exploding-lr",
        story="from step 150 on the learning rate grows by half each step",
        steps=210,
        expected=("loss_diverging",),
        forbidden=("loss_plateau",),
        # Momentum and clipping carry the weights straight on, so that the loss rises step after step and does not
        # jump up and down.
        optimizer="sgd",
        clip=0.1,
        batch=8,
        peak_rate=0.06,
        final_rate=1.0,
        decay_steps=210,
        explodes_at=150,
    ),
    Scenario(
        name="frozen-blocks",
        story="at step 150 the gates of one attention and one MLP shut: no gradient reaches them any more",
        steps=300,
        expected=("attention_head_dead", "dead_layers"),
        forbidden=("non_finite", "loss_diverging", "gradient_spike", "loss_plateau"),
        peak_rate=3e-3,
        final_rate=0.1,
        decay_steps=300,
        shut_at=150,
        shut_modules=("layers.1.self_attn", "layers.2.mlp"),
    ),
    Scenario(
        name="plateau",
        story="the learning rate decays to zero, the loss stops moving; the run asks to be stopped when it does",
        steps=260,
        expected=("loss_plateau",),
        forbidden=("non_finite", "loss_diverging", "gradient_spike", "attention_head_dead", "dead_layers"),
        early_stop=("loss_plateau",),
        batch=8,
        # Noise between batches would hide that it has converged.
        batch_is_fixed=True,
        peak_rate=6e-4,
        decay_steps=200,
    ),
)


def scenario_of(name: str) -> Scenario:
    """The scenario called `name`. Raises KeyError where there is none."""
    return {scenario.name: scenario for scenario in SCENARIOS}[name]
