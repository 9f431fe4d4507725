"""How well confidences fit what came true (Naeini 2015, Guo 2017; ACE: Nixon 2019).

`ECE = Σ_b n_b/N · |accuracy_b - confidence_b|` over 15 bins (lo, hi] of equal width, the first with 0 in it. A bin's
term is `|Σ (right - confidence)| / N`, so all bins of many samples are one product of matrices.

ECE is never 0 in a finite sample: the null floor says what a perfectly calibrated model would measure. The bootstrap's
interval carries the same bias upwards and is to be read against that floor.
"""

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from workers.behaviour.bootstrap import SEED, Floats, Interval, percentiles, resampled_sums

BINS = 15
DRAWS = 1_000
_CELLS_AT_ONCE = 4_000_000
_EDGES: Floats = np.linspace(0.0, 1.0, BINS + 1)

Bools = npt.NDArray[np.bool_]


class Bin(Struct, frozen=True):
    """(lower, upper] of a reliability diagram; no accuracy and confidence where nothing fell into it."""

    lower: float
    upper: float
    n: int
    accuracy: float | None
    confidence: float | None


class Reliability(Struct, frozen=True, kw_only=True):
    """Of one set of answers, every figure 0 to 1."""

    n: int
    accuracy: float
    mean_confidence: float
    ece: float
    mce: float
    """the widest gap of a bin"""
    ace: float
    """ECE over bins that hold as many answers each"""
    mean_gap: float
    """over the bins that hold something, unweighted"""
    brier: float
    bins: tuple[Bin, ...]


def _members(confidences: Floats) -> Floats:
    """(n, bins): 1 where an answer is in a bin."""
    return np.eye(BINS)[np.digitize(confidences, _EDGES[1:-1], right=True)]


def ece(confidences: Floats, right: Bools) -> float:
    """Expected calibration error of (n,) confidences, n ≥ 1."""
    return float(np.abs(_members(confidences).T @ (right - confidences)).sum() / len(confidences))


def ace(confidences: Floats, right: Bools) -> float:
    """The same over up to 15 bins of equal mass, by confidence; ties stay in the order they came in."""
    gaps = (right - confidences)[np.argsort(confidences, kind="stable")]
    return float(sum(abs(part.sum()) for part in np.array_split(gaps, min(BINS, len(gaps)))) / len(gaps))


def reliability(confidences: Floats, right: Bools) -> Reliability:
    """Of (n,) confidences in [0, 1] and whether each answer was right, n ≥ 1."""
    members = _members(confidences)
    counts = members.sum(axis=0)
    filled = counts > 0
    accuracies = members.T @ right / np.maximum(counts, 1)
    means = members.T @ confidences / np.maximum(counts, 1)
    gaps = np.abs(accuracies - means)[filled]
    return Reliability(
        n=len(confidences),
        accuracy=float(right.mean()),
        mean_confidence=float(confidences.mean()),
        ece=float((counts[filled] * gaps).sum() / len(confidences)),
        mce=float(gaps.max()),
        ace=ace(confidences, right),
        mean_gap=float(gaps.mean()),
        brier=float(((confidences - right) ** 2).mean()),
        bins=tuple(
            Bin(
                float(_EDGES[at]),
                float(_EDGES[at + 1]),
                int(counts[at]),
                float(accuracies[at]) if filled[at] else None,
                float(means[at]) if filled[at] else None,
            )
            for at in range(BINS)
        ),
    )


def null_floor(confidences: Floats, draws: int = DRAWS, seed: int = SEED) -> float:
    """The mean ECE of answers that are right exactly as often as these confidences say; simulated, seeded."""
    n = len(confidences)
    members = _members(confidences)
    rng = np.random.default_rng(seed)
    rows = max(1, _CELLS_AT_ONCE // n)
    total = 0.0
    for start in range(0, draws, rows):
        right = rng.random((min(rows, draws - start), n)) < confidences
        total += float(np.abs((right - confidences) @ members).sum())
    return total / n / draws


def ece_interval(confidences: Floats, right: Bools, resamples: int = DRAWS, seed: int = SEED) -> Interval:
    """95 % of the ECE over answers drawn again with replacement."""
    gaps = _members(confidences) * (right - confidences)[:, None]
    sums = resampled_sums(gaps, resamples, np.random.default_rng(seed))
    return percentiles(np.abs(sums).sum(axis=1) / len(confidences))
