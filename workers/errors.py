"""Why a diff cannot be made: one small tree, every message a sentence with the remedy."""

from producers.events import DiffFailure


class DiffError(Exception):
    """The diff cannot be made. `reason` is one of a few words (a metric label), the message a sentence for people.

    Trying again changes nothing, but for a `TransientDiffError`.
    """

    def __init__(self, reason: DiffFailure, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TransientDiffError(DiffError):
    """It may well succeed when it is tried again: a server that is away, a device without free memory."""


class LakeAway(TransientDiffError):
    """The lake cannot be used, which is no job's fault: each is tried until it can."""

    def __init__(self, message: str) -> None:
        super().__init__("unavailable", message)


class DiffCancelled(Exception):
    """The job is to be handed back: the worker is ending, or another one owns it now."""


class FailureLimitReached(RuntimeError):
    """So many diffs in a row failed through no fault of their runs that the worker has to end; says what to do."""
