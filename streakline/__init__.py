"""Streakline: watches training runs while they train and explains what they changed when they end."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producers.publisher import StepPublisher

__all__ = ["StepPublisher"]


def __getattr__(name: str) -> object:
    # On first use: the command and its children import this package too, and need none of it.
    if name == "StepPublisher":
        from producers.publisher import StepPublisher

        return StepPublisher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
