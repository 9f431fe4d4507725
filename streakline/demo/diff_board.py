"""How far the diffs are that are being made, asked of Redis for as long as it answers."""

from streakline.stack import Stack
from workers.coordination.board import Board, JobProgress
from workers.coordination.client import RedisAway, connect


class DiffBoard:
    """Empty where the stack has no Redis of its own."""

    def __init__(self, stack: Stack) -> None:
        redis = None if stack.diffing is None else stack.diffing.redis
        self._board = None if redis is None else Board(connect(redis.url), stack.topics.topic_prefix)

    def in_progress(self) -> list[JobProgress]:
        """Every diff that a worker is making."""
        try:
            return [] if self._board is None else list(self._board.all())
        except RedisAway:
            return []
