"""Whether a worker stands still: it neither judges nor gets any further with getting ready to. Pure."""

from collections.abc import Iterable

from msgspec import Struct

from stream_app.readiness import BROKER_SILENT_SECONDS


class Progress(Struct, frozen=True, kw_only=True):
    """How far a worker has come with getting ready."""

    is_ready: bool
    """its partitions are known, and all that is known of their runs"""
    generation: int
    """of the consumer group"""
    recovered: int
    """sum of the offsets up to which it has read the changelogs"""


def read_so_far(offsets: Iterable[int | None]) -> int:
    """The sum of `offsets`; None is a partition whose beginning is still being asked for.

    >>> read_so_far([5, None, 7])
    12
    """
    return sum(offset or 0 for offset in offsets)


class Standstill:
    """For how long there has been no progress.

    >>> still = Standstill(now=0.0)
    >>> joining = Progress(is_ready=False, generation=1, recovered=0)
    >>> [still.seconds(joining, broker_silent_seconds=1.0, now=now) for now in (10.0, 15.0, 70.0)]
    [0.0, 5.0, 60.0]
    """

    def __init__(self, now: float) -> None:
        self._last: Progress | None = None
        self._since = now

    def seconds(self, progress: Progress, *, broker_silent_seconds: float, now: float) -> float:
        """Since there was any, or the broker did not answer; 0 for a worker that is ready."""
        answers = broker_silent_seconds <= BROKER_SILENT_SECONDS
        if progress != self._last or progress.is_ready or not answers:
            self._last, self._since = progress, now
        return now - self._since
