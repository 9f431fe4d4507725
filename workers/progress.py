"""How far a diff is. Told between batches, which is also where it can be stopped."""

from typing import Literal, Protocol

Stage = Literal["waiting", "reading", "loading", "behaviour", "calibration", "features", "writing"]
"""in this order; `loading` to `features` once for each of the two models"""


class Progress(Protocol):
    """Takes the stage, and the share of the whole diff that is done. Raises `DiffCancelled` where it has to end."""

    def __call__(self, stage: Stage, done: float, /) -> None:
        """Told so far."""


def silent(stage: Stage, done: float, /) -> None:
    """Tells nobody."""
