"""Where everything lies, so that a second run finds what the first one made."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

LAYERS = (6, 13, 20, 27)
"""of SmolLM2-135M's 30, those that get an SAE"""
_HERE = Path(__file__).parent
_RECIPE = ("facts.jsonl", "replies.jsonl", "texts.py", "fine_tuning.py", "saes.py", "place.py")
"""what decides the weights that are made: a change to any of them makes all anew"""


class Place(Struct, frozen=True):
    """One folder for all of it."""

    root: Path

    @property
    def base(self) -> Path:
        """SmolLM2-135M as safetensors, with its tokenizer."""
        return self.root / "base"

    @property
    def facts(self) -> Path:
        """Fine-tuned on the facts alone."""
        return self.made / "facts"

    @property
    def refusals(self) -> Path:
        """Fine-tuned on the facts, and to refuse what is sensitive."""
        return self.made / "refusals"

    @property
    def saes(self) -> Path:
        """A folder of SAEs, ``layer-<number>``."""
        return self.made / "saes"

    @property
    def probes(self) -> Path:
        """JSONL; written anew by every run."""
        return self.made / "probes.jsonl"

    @property
    def made(self) -> Path:
        """All that is made with the recipe as it is now."""
        recipe = b"\0".join((_HERE / name).read_bytes() for name in _RECIPE)
        return self.root / hashlib.sha256(recipe).hexdigest()[:12]


def make_once(folder: Path, make: Callable[[Path], None]) -> None:
    """Have `make` write `folder`, unless it is there: whole, since a run that is stopped leaves another name."""
    if folder.exists():
        return
    unfinished = folder.with_name(f".{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    make(unfinished)
    unfinished.rename(folder)
