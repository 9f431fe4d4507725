"""What the benchmark of the SAE feature diff and its processes agree on; imports nothing large."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

LAYERS = (6, 12, 18, 24)
EXPANSION = 16
"""features for each dimension of the residual stream"""


class SaeBenchSettings(Struct, frozen=True, kw_only=True):
    """Each is an environment variable, ``STREAKLINE_<FIELD>``: a GPU wants more of everything."""

    device: str = "auto"
    """as the diff worker's"""
    bench_texts: Annotated[int, Meta(ge=8)] = 96
    """of the default probe set, over and over where it has fewer"""
    bench_tokens_per_batch: Annotated[int, Meta(ge=256)] = 512
    """less than the worker's 4096, so that a set of texts this small is several batches"""
    bench_rounds: Annotated[int, Meta(ge=1)] = 3


class Place(Struct, frozen=True):
    """Where the processes find what they work on, and leave what came of it."""

    root: Path

    @property
    def models(self) -> tuple[Path, Path]:
        """Base and fine-tune, each with the tokenizer."""
        return self.root / "base", self.root / "ft"

    @property
    def saes(self) -> tuple[Path, ...]:
        """By layer."""
        return tuple(self.root / f"sae-{layer}" for layer in LAYERS)

    @property
    def outcome(self) -> Path:
        """JSON of what the last process measured."""
        return self.root / "outcome.json"

    @property
    def sums(self) -> Path:
        """The last way's ``sums`` and ``counts`` (models, layers, features), and ``fvu`` (models, layers)."""
        return self.root / "sums.npz"


class Outcome(Struct, frozen=True, kw_only=True):
    """What one way took."""

    tokens: int
    """measured, of each of the two models"""
    seconds: float
    """with both models, without loading"""
    cpu_seconds: float
    """of them, on a core: what the others on the machine hardly change"""
    peak_mib: float
    """highest resident set of the whole process, importing and loading included"""
    measuring_mib: float
    """highest resident set while it measured"""
    kept_mib: float
    """activations of both models that were held on to"""
    device_mib: float
    """highest allocation on the GPU; 0 without one"""

    @property
    def tokens_per_second(self) -> float:
        """Of both models together."""
        return 2 * self.tokens / self.seconds

    @property
    def tokens_per_cpu_second(self) -> float:
        """Of both models together; says nothing where a GPU does the work."""
        return 2 * self.tokens / self.cpu_seconds


class Stages(Struct, frozen=True, kw_only=True):
    """Where the streaming way's seconds go, and how few of them the arithmetic would take."""

    tokens: int
    total: float
    forwards: float
    encode: float
    statistics: float
    fit: float
    """decoding, and how well that explains the residuals"""
    floor_forwards: float
    floor_encode: float
    floor_statistics: float
    floor_fit: float
    flops_per_second: float
    """of a large product of matrices here"""
    bytes_per_second: float
    """of reading a large tensor here"""
