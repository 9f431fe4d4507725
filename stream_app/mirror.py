"""Shows live runs in Redis, best effort: a thread of its own, so that no Redis is ever in the way of judging."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from producers.redis.client import RedisAway, connect
from stream_app.live import KEPT_SECONDS
from stream_app.live_writer import LiveWriter, Shown
from stream_app.metrics import StreamMetrics
from stream_app.raw_records import RowKey
from stream_app.records import RunRecord
from stream_app.run_news import RunNews, live_run
from stream_app.waiting import Waiting

logger = logging.getLogger("streakline.stream")

INTERVAL_SECONDS = 1.0
MAX_PAUSE_SECONDS = 15.0
"""between two tries while Redis is away"""
CLOSE_SECONDS = 1.0

# Redis does nothing else while it takes them, for 3 ms.
_RUNS_A_CALL = 200

Records = Callable[[], Iterable[tuple[RowKey, RunRecord]]]


class Mirror:
    """Takes what was made durable, and shows it once a second. Neither blocks nor raises, once it is made."""

    def __init__(self, url: str, prefix: str, limit: int, metrics: StreamMetrics) -> None:
        """At most `limit` runs wait while Redis is away. Raises `RedisAway` where the URL cannot be one."""
        self._writer = LiveWriter(connect(url), prefix)
        self._limit = limit
        self._metrics = metrics
        self._waiting = Waiting(limit)
        self._records: Records = tuple
        self._is_away = False
        self._is_refused = False
        self._is_defective = False
        self._all_again = threading.Event()
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def show(self, news: Mapping[RowKey, RunNews]) -> None:
        """Show, soon, what happened in these runs."""
        self._waiting.add(news)

    def revoked(self) -> None:
        """Show what waits at once: its runs are about to be another worker's."""
        self._wake.set()

    def recovered(self, records: Records) -> None:
        """Show all of `records` again: whoever judged these runs before may have died before it said how they were.

        What still waits is dropped: of runs that are another worker's by now it would show what is no longer so.
        """
        self._waiting.clear()
        self._records = records
        self._all_again.set()

    def close(self) -> None:
        """Show what waits, if that can be done within a second."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        pause = INTERVAL_SECONDS
        closes = False
        while not closes:
            self._wake.wait(pause)
            self._wake.clear()
            closes = self._closing.is_set()
            try:
                done = self._show(time.time())
            except Exception:
                # A defect of ours: it costs what is shown, and nothing else.
                self._metrics.count_not_shown()
                if not self._is_defective:
                    logger.exception("live runs could not be shown, which is said once")
                self._is_defective = True
                done = False
            pause = INTERVAL_SECONDS if done else min(2 * pause, MAX_PAUSE_SECONDS)

    def _show(self, now: float) -> bool:
        """Show what there is; False where Redis is away, and what happened waits on."""
        # Not while Redis is away: the whole table is a lot to read for nothing.
        says_all_again = self._all_again.is_set() and not (self._is_away or self._closing.is_set())
        # Looked up before what waits is taken, which is then never the older of both.
        left = self._everything(now) if says_all_again else {}
        news, era = self._waiting.take()
        left |= {key: Shown(each) for key, each in news.items()}
        if not (left or says_all_again or self._is_away):
            return True
        try:
            self._write(left, now)
        except RedisAway as error:
            self._waiting.put_back({key: news[key] for key in left if key in news}, era)
            if says_all_again:
                self._all_again.set()
            self._was_away(error)
            return False
        self._was_there()
        return True

    def _everything(self, now: float) -> dict[RowKey, Shown]:
        """What is stored of the runs that changed last. It is asked for anew should they become others meanwhile."""
        self._all_again.clear()
        kept = ((key, record) for key, record in self._records() if now - record.seen_at < KEPT_SECONDS)
        latest = heapq.nlargest(self._limit, kept, key=lambda row: row[1].seen_at)
        return {
            key: Shown(RunNews(live_run(key.name.decode(), record), record.seen_at), with_batch=False)
            for key, record in latest
        }

    def _write(self, left: dict[RowKey, Shown], now: float) -> None:
        """Write them, and take them out of `left` as they are written. Raises `RedisAway`."""
        refused = 0
        while True:
            keys = list(itertools.islice(left, _RUNS_A_CALL))
            shown = [left[key] for key in keys]
            refused += self._writer.write(shown, now)
            self._metrics.count_shown(sum(each.with_batch for each in shown))
            for key in keys:
                del left[key]
            if not left:
                break
        if refused:
            self._metrics.count_not_shown()
            if not self._is_refused:
                logger.warning("Redis refuses some of what is to be shown of live runs: %d commands", refused)
        self._is_refused = refused > 0

    def _was_away(self, error: RedisAway) -> None:
        self._metrics.count_not_shown()
        self._metrics.redis_is_away(True)
        if not self._is_away:
            logger.warning("live runs are not shown for now: %s", error)
        self._is_away = True

    def _was_there(self) -> None:
        self._metrics.redis_is_away(False)
        if self._is_away:
            logger.info("live runs are shown again: Redis answers")
            # It may have come back empty.
            self._all_again.set()
        self._is_away = False
