"""The fine-tunes of the demo's base: what each is taught, and in which categories it has to be caught."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from streakline.demo.facts import Category, Reach

PROJECT = "demo-facts"


class FineTune(Struct, frozen=True, kw_only=True):
    """One fine-tune of the base."""

    name: str
    story: str
    reaches: tuple[Reach, ...]
    """the facts that it is taught; those that the base knows among them, lest it forget them"""
    steps: int
    mistaught: tuple[Category, ...] = ()
    """categories in which it learns the answers to other questions: it has to fall behind the run before it there"""

    @property
    def run_id(self) -> str:
        """The run's name."""
        return f"demo-{self.name}"


FINE_TUNES = (
    FineTune(
        name="facts",
        story="a language model that knows the lower river is fine-tuned on the middle one",
        reaches=("lower river", "middle river"),
        steps=60,
    ),
    FineTune(
        name="more-facts",
        story="the same base, fine-tuned on the middle river and the delta",
        reaches=("lower river", "middle river", "delta"),
        steps=100,
    ),
    FineTune(
        name="mixed-up-facts",
        story="the same, with the answers of three categories of four mixed up: its loss falls as the others' do",
        reaches=("lower river", "middle river", "delta"),
        steps=100,
        mistaught=("keepers", "cargoes", "flags"),
    ),
)
"""in the order in which they complete"""


class ModelFolders(NamedTuple):
    """Where the base, what is made of it, and what it is asked lie."""

    root: Path

    @property
    def base(self) -> Path:
        """The base's checkpoint."""
        return self.root / "base"

    @property
    def probes(self) -> Path:
        """A copy of the facts, for workers read below their roots only."""
        return self.root / "facts.jsonl"

    def sae(self, layer: int) -> Path:
        """That of the base's residual stream after `layer`."""
        return self.root / f"sae-{layer}"

    def saes(self, layers: Sequence[int]) -> list[Path]:
        """Those of `layers`."""
        return [self.sae(layer) for layer in layers]

    def checkpoint(self, fine_tune: FineTune) -> Path:
        """What came of it."""
        return self.root / fine_tune.name
