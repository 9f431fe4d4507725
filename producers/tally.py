"""What became of a run's records: counted, and said in the log, rarely."""

import logging
import time
import traceback

from msgspec import Struct

from producers.codec import MalformedEvent
from producers.events import TrainerEvent

SECONDS_BETWEEN_COMPLAINTS = 60.0
MAX_REASONS_SAID = 20
_MAX_REASONS_HELD = 5

log = logging.getLogger("streakline")


class PublisherStats(Struct, frozen=True):
    """What became of a run's records. A step is one record, a lifecycle event is two: one on each topic."""

    published: int
    """taken, to be sent"""
    acknowledged: int
    """of those published, known to be on the topic"""
    failed: int
    """of those published, lost: the broker will never take them, or they were in memory alone when it closed"""
    dropped: int
    """never published: no event (a negative step, a loss that is no number), over 1 MiB, or no room to keep it"""

    @property
    def waiting(self) -> int:
        """Of those published, the ones that are kept until the broker has them."""
        return self.published - self.acknowledged - self.failed


class Tally:
    """Counts for two threads, the loop and the sender, each of which has counts of its own."""

    def __init__(self, run_id: str, broker: str) -> None:
        self.published = self.acknowledged = self.failed = 0
        self.dropped_by_loop = self.dropped_by_sender = 0
        self._run_id = run_id
        self._broker = broker
        self._quiet_until_seconds = -float("inf")
        self._said: set[str] = set()
        # Reasons since the last line, in their order.
        self._held: dict[str, None] = {}

    def stats(self) -> PublisherStats:
        """The counts so far."""
        return PublisherStats(
            self.published, self.acknowledged, self.failed, self.dropped_by_loop + self.dropped_by_sender
        )

    def complain(self, reason: str) -> None:
        """Log one line, at most one a minute; what comes meanwhile is said in the next, or at the end."""
        if len(self._held) < _MAX_REASONS_HELD:
            self._held[reason] = None
        now = time.monotonic()
        if now < self._quiet_until_seconds:
            return
        self._quiet_until_seconds = now + SECONDS_BETWEEN_COMPLAINTS
        stats = self.stats()
        log.warning(
            "run %s: %s (broker at %s); training goes on, %d records wait, %d dropped, %d failed",
            self._run_id,
            self._held_reasons(),
            self._broker,
            stats.waiting,
            stats.dropped,
            stats.failed,
        )

    def _held_reasons(self) -> str:
        reasons, self._held = self._held, {}
        return "; ".join(reasons)

    def say_once(self, kind: type[TrainerEvent], error: Exception) -> None:
        """Log why an event cannot be published, each reason once."""
        text = described(error)
        # The size is another one each time.
        reason = "too_large" if isinstance(error, MalformedEvent) and error.reason == "too_large" else text
        if reason not in self._said and len(self._said) < MAX_REASONS_SAID:
            self._said.add(reason)
            log.error("run %s: a %s is dropped (said once): %s", self._run_id, kind.__name__, text)

    def sum_up(self, place: str | None) -> None:
        """Log how it ended, where not everything has arrived; what waits is in `place`."""
        stats = self.stats()
        if self._held and (stats.waiting or stats.failed or stats.dropped):
            log.warning("run %s: at last: %s", self._run_id, self._held_reasons())
        if stats.waiting:
            log.warning(
                "run %s: %d of its records wait in %s for the broker at %s: the next publisher on this machine sends "
                "them, or `streakline spool flush`",
                self._run_id,
                stats.waiting,
                place,
                self._broker,
            )
        if stats.failed or stats.dropped:
            log.error(
                "run %s: %d of its records are lost: %d without an answer from the broker at %s, %d never sent",
                self._run_id,
                stats.failed + stats.dropped,
                stats.failed,
                self._broker,
                stats.dropped,
            )


def described(error: BaseException) -> str:
    """Type and message; of an exception that cannot say its message, that."""
    return "".join(traceback.format_exception_only(error)).strip()
