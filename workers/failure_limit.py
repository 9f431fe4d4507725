"""When so many diffs in a row fail that the worker is to be doubted and not the runs."""

import contextlib
import socket

from producers.events import DiffFailed, DiffFailure
from producers.redis.client import RedisAway
from workers.coordination.board import Board
from workers.errors import FailureLimitReached

OF_THE_WORKER: frozenset[DiffFailure] = frozenset({"internal", "unavailable", "out_of_memory"})
"""reasons that say nothing of the run: a defect of ours, a lake that cannot be written, a device that is too small"""


class FailureLimit:
    """The jobs of this machine, in the order in which they end.

    Counted on the board, so that a worker that is started over and over does not begin anew; without Redis by itself.
    """

    def __init__(self, board: Board, most: int) -> None:
        self._board = board
        self._most = most
        self._machine = socket.gethostname()
        self._in_a_row = 0

    def succeeded(self) -> None:
        """A diff was made."""
        self._in_a_row = 0
        self._board.succeeded(self._machine)

    def failed(self, failure: DiffFailed) -> None:
        """A diff cannot be made. Raises `FailureLimitReached`: nobody is to be told of it then, it is to be made again.

        A failure that is the run's own neither counts nor ends the row.
        """
        if failure.reason not in OF_THE_WORKER:
            return
        self._in_a_row += 1
        with contextlib.suppress(RedisAway):
            self._in_a_row = max(self._in_a_row, self._board.failed(self._machine))
        if self._in_a_row >= self._most:
            raise FailureLimitReached(
                f"this diff worker stops: {self._in_a_row:,} model diffs in a row failed through no fault of their "
                f"runs, the last, of {failure.run_id}, as {failure.reason}: {failure.error!r}; mend the worker, or "
                f"raise STREAKLINE_MAX_CONSECUTIVE_FAILURES ({self._most:,}) to let them into the dead letters"
            )
