"""What a reader finds in Redis of live runs."""

import contextlib

import msgspec
import redis

from producers.redis.client import connect
from stream_app.live import LiveBatch, LivePoint, LiveRun, batches_key, index_key, run_key


class LiveReader:
    """Reads as the dashboard does: each step and each signal once, whatever is there twice."""

    def __init__(self, url: str, prefix: str) -> None:
        self.client = connect(url)
        self._prefix = prefix

    def run(self, run_id: str) -> LiveRun | None:
        """The latest of a run; None also while Redis is away."""
        with contextlib.suppress(redis.RedisError):
            raw = self.client.get(run_key(self._prefix, run_id))
            assert raw is None or isinstance(raw, str)
            return None if raw is None else msgspec.json.decode(raw, type=LiveRun)
        return None

    def last_step(self, run_id: str) -> int | None:
        """Of a run that is there."""
        run = self.run(run_id)
        return None if run is None else run.last_step

    def state(self, run_id: str) -> str | None:
        """Of a run that is there."""
        run = self.run(run_id)
        return None if run is None else run.state

    def batches(self, run_id: str) -> list[LiveBatch]:
        """Those that are kept, oldest first."""
        entries = msgspec.convert(
            self.client.xrange(batches_key(self._prefix, run_id)), list[tuple[str, dict[str, str]]]
        )
        return [msgspec.json.decode(fields["batch"], type=LiveBatch) for _, fields in entries]

    def points(self, run_id: str) -> list[LivePoint]:
        """By step."""
        points = {point.step: point for batch in self.batches(run_id) for point in batch.points}
        return [points[step] for step in sorted(points)]

    def signal_ids(self, run_id: str) -> set[str]:
        """Of all signals."""
        return {signal.signal_id for batch in self.batches(run_id) for signal in batch.signals}

    def index(self) -> dict[str, float]:
        """When each run last changed."""
        members = self.client.zrange(index_key(self._prefix), 0, -1, withscores=True)
        return dict(msgspec.convert(members, list[tuple[str, float]]))
