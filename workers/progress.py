"""How far a diff is. Told between batches, which is also where it can be stopped."""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

Stage = Literal["waiting", "reading", "loading", "behaviour", "calibration", "features", "labels", "writing"]
"""in this order; `loading` to `features` once for each of the two models"""


BASE_WAS_KEPT = "came from the cache"
BASE_WAS_MEASURED = "was measured"
"""what a worker's log says of a diff's base"""


class Progress(Protocol):
    """Takes the stage, and the share of the whole diff that is done. Raises `DiffCancelled` where it has to end."""

    def __call__(self, stage: Stage, done: float, /) -> None:
        """Told so far."""


def silent(stage: Stage, done: float, /) -> None:
    """Tells nobody."""


def stages(
    progress: Progress, start: float, end: float, weights: Mapping[Stage, float]
) -> Callable[[Stage], Callable[[float], None]]:
    """What gives, for each stage in the order of `weights`, what hears of the share of it that is done.

    The stages are the part from `start` to `end` of the whole, each as large as its weight.

    >>> begin = stages(lambda stage, done: print(stage, round(done, 2)), 0.5, 1.0, {"loading": 1, "features": 4})
    >>> begin("loading")(0.5)
    loading 0.5
    loading 0.55
    >>> begin("features")(1.0)
    features 0.6
    features 1.0
    """
    total = sum(weights.values())
    sizes = {stage: (end - start) * weight / total for stage, weight in weights.items()}

    def begin(stage: Stage) -> Callable[[float], None]:
        names = list(sizes)
        first = start + sum(sizes[before] for before in names[: names.index(stage)])

        def done(share: float) -> None:
            progress(stage, first + sizes[stage] * share)

        done(0.0)
        return done

    return begin
