"""The paired bootstrap (Efron 1979) of a mean difference: how far it would move with other probes.

Paired: a probe is drawn with both models' figures, so what makes it hard for both cancels out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES = 2_000
SEED = 20_251
_CELLS_AT_ONCE = 4_000_000

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """95 %, by percentiles."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether there is a difference to speak of."""
        return self.low > 0 or self.high < 0


def percentiles(drawn: Floats) -> Interval:
    """The middle 95 % of what was drawn."""
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(low), float(high))


def resampled_sums(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Sums of `values` (n, columns) over samples of n of its rows with replacement: (resamples, columns)."""
    n = len(values)
    rows = max(1, _CELLS_AT_ONCE // n)
    chunks = [_counts(n, min(rows, resamples - start), rng) @ values for start in range(0, resamples, rows)]
    return np.concatenate(chunks)


def _counts(n: int, samples: int, rng: np.random.Generator) -> Floats:
    """(samples, n): how often each row is in each sample."""
    drawn = rng.integers(n, size=(samples, n)) + n * np.arange(samples)[:, None]
    return np.bincount(drawn.ravel(), minlength=samples * n).reshape(samples, n).astype(np.float64)


def resampled_means(
    differences: Sequence[float], groups: Sequence[int] | None = None, resamples: int = RESAMPLES, seed: int = SEED
) -> Floats:
    """(resamples,): each the mean over groups of the mean within, of as many pairs drawn again.

    `groups` numbers each pair's group from 0; without it all are one. A group that a sample misses is left out of it.
    """
    values = np.asarray(differences, dtype=np.float64)
    members = np.eye(1 + max(groups))[list(groups)] if groups is not None else np.ones((len(values), 1))
    sums = resampled_sums(np.hstack([members * values[:, None], members]), resamples, np.random.default_rng(seed))
    totals, counts = np.split(sums, 2, axis=1)
    means: Floats = (totals / np.maximum(counts, 1)).sum(axis=1) / (counts > 0).sum(axis=1)
    return means


def paired_interval(base: Sequence[float], fine_tuned: Sequence[float]) -> Interval:
    """Of `mean(fine_tuned) - mean(base)`, pairs in the same order; the same for the same input.

    >>> paired_interval([0.2, 0.9, 0.4], [0.2, 0.9, 0.4])
    Interval(low=0.0, high=0.0)
    """
    return percentiles(resampled_means([after - before for before, after in zip(base, fine_tuned, strict=True)]))
