"""From pairs to `model_diff` rows: over everything, each category and each topic."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from msgspec import Struct

from workers.behaviour.bootstrap import Interval, paired_interval
from workers.behaviour.rows import Pair
from workers.lake.tables import ModelDiffRow, Scope, Verdict

MIN_PAIRS = 5
"""with fewer, drawing them again says nothing of other probes, and the verdict is "unchanged" """

Unit = Literal["share", "nats", "ratio", "words"]


class Score(Struct, frozen=True):
    """What a row says of itself."""

    name: str
    unit: Unit = "share"
    higher_is_better: bool | None = None
    """None: no verdict"""


class Part(Struct, frozen=True):
    """Some of the probes; the fields are a row's."""

    scope: Scope
    category: str | None = None
    topic: str | None = None

    def holds(self, pair: Pair) -> bool:
        """Whether the probe is one of them."""
        return self.category in {None, pair.category} and self.topic in {None, pair.topic}


def parts(pairs: Sequence[Pair]) -> list[Part]:
    """All, each category, each topic of a category."""
    categories = dict.fromkeys(pair.category for pair in pairs)
    topics = dict.fromkeys((pair.category, pair.topic) for pair in pairs if pair.topic is not None)
    return [
        Part("overall"),
        *(Part("category", category) for category in categories),
        *(Part("topic", *topic) for topic in topics),
    ]


def verdict(delta: float, interval: Interval, higher_is_better: bool | None, n: int) -> Verdict | None:
    """By polarity, where the interval excludes 0.

    >>> verdict(-0.2, Interval(-0.3, -0.1), True, 40), verdict(-0.2, Interval(-0.3, 0.1), True, 40)
    ('regressed', 'unchanged')
    """
    if higher_is_better is None:
        return None
    if n < MIN_PAIRS or not interval.excludes_zero:
        return "unchanged"
    return "improved" if (delta > 0) == higher_is_better else "regressed"


def error_of_mean(values: Sequence[float]) -> float | None:
    """Standard error of the mean; None of a single value."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None


def error_of_share(values: Sequence[float]) -> float | None:
    """Of values that are 0 or 1: `sqrt(p (1 - p) / n)`."""
    share = math.fsum(values) / len(values)
    return math.sqrt(share * (1 - share) / len(values))


def diff_row(
    score: Score,
    part: Part,
    *,
    n: int,
    means: tuple[float, float],
    interval: Interval,
    standard_error: float | None = None,
    judged: Verdict | None = None,
) -> ModelDiffRow:
    """One row; `means` are the base's and the fine-tuned model's."""
    base, fine_tuned = means
    return ModelDiffRow(
        score=score.name,
        scope=part.scope,
        category=part.category,
        topic=part.topic,
        unit=score.unit,
        higher_is_better=score.higher_is_better,
        n=n,
        base=base,
        fine_tuned=fine_tuned,
        delta=fine_tuned - base,
        ci_low=interval.low,
        ci_high=interval.high,
        standard_error=standard_error,
        verdict=judged,
    )


def mean_rows(
    score: Score,
    pairs: Sequence[Pair],
    standard_error: Callable[[Sequence[float]], float | None] = error_of_mean,
) -> list[ModelDiffRow]:
    """A row for every part: the mean over its pairs. Nothing where there are none."""
    rows = []
    for part in parts(pairs) if pairs else []:
        base = [pair.base for pair in pairs if part.holds(pair)]
        after = [pair.fine_tuned for pair in pairs if part.holds(pair)]
        n, interval = len(base), paired_interval(base, after)
        means = math.fsum(base) / n, math.fsum(after) / n
        judged = verdict(means[1] - means[0], interval, score.higher_is_better, n)
        error = standard_error(after)
        rows.append(diff_row(score, part, n=n, means=means, interval=interval, standard_error=error, judged=judged))
    return rows
