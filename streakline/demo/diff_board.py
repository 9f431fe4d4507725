"""How far the diffs are that are being made, asked of Redis for as long as it answers."""

from producers.redis.client import RedisAway, connect
from streakline.stack import Stack
from workers.coordination.board import Board, JobProgress


class DiffBoard:
    """Empty where the stack has no Redis of its own."""

    def __init__(self, stack: Stack) -> None:
        redis = stack.redis
        self._board = None if redis is None else Board(connect(redis.url), stack.topics.topic_prefix)

    def in_progress(self) -> list[JobProgress]:
        """Every diff that a worker is making."""
        try:
            return [] if self._board is None else list(self._board.all())
        except RedisAway:
            return []
