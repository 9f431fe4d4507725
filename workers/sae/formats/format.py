"""What a format of SAEs is."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from workers.sae.encoder import Sae
from workers.sae.formats.files import Placement


class Format(NamedTuple):
    """A library's way to save an SAE: a folder with both files is of it."""

    config: str
    weights: str
    load: Callable[[Path, Placement], Sae]
    """raises `DiffError`"""
