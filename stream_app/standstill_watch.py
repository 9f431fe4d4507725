"""Ends a worker that stands still though the broker answers.

What Faust and the client below it do about a network that fails is right, but for some steps that nobody gives up
when they are not answered: the worker then keeps its partitions and judges nothing. Started anew, it goes on where it
was.
"""

import logging
import threading
import time
from collections.abc import Callable

from stream_app.dying import die
from stream_app.standstill import Progress, Standstill

logger = logging.getLogger("streakline.stream")

_INTERVAL_SECONDS = 2.0


class StandstillWatch:
    """Ends the process where it stands still for longer than `limit_seconds`."""

    def __init__(
        self, progress: Callable[[], Progress], broker_silent_seconds: Callable[[], float], limit_seconds: float
    ) -> None:
        """Both are asked from a thread of its own."""
        self._progress = progress
        self._broker_silent_seconds = broker_silent_seconds
        self._limit_seconds = limit_seconds

    def start(self) -> None:
        """Watch until the process ends."""
        threading.Thread(target=self._run, name="standstill", daemon=True).start()

    def _run(self) -> None:
        still = Standstill(time.monotonic())
        while True:
            time.sleep(_INTERVAL_SECONDS)
            silent = self._broker_silent_seconds()
            seconds = still.seconds(self._progress(), broker_silent_seconds=silent, now=time.monotonic())
            if seconds > self._limit_seconds:
                logger.critical(
                    "the broker answers, and this worker has got no further for %.0f s: it ends and starts anew",
                    seconds,
                )
                die()
