"""What waits to be shown of live runs: one piece of news a run, however long it waits."""

import threading
from collections.abc import Mapping

from stream_app.raw_records import RowKey
from stream_app.run_news import RunNews, joined


class Waiting:
    """Of at most `limit` runs, those that have waited least. For any thread; nobody holds it up for long."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._news: dict[RowKey, RunNews] = {}
        self._era = 0

    def add(self, news: Mapping[RowKey, RunNews]) -> None:
        """Put what just happened behind what waits."""
        with self._lock:
            for key, newer in news.items():
                older = self._news.get(key)
                self._news[key] = newer if older is None else joined(older, newer)
            self._shed()

    def take(self) -> tuple[dict[RowKey, RunNews], int]:
        """All of it, those that have waited longest first, and the era that it is of."""
        with self._lock:
            news, self._news = self._news, {}
            return news, self._era

    def put_back(self, news: Mapping[RowKey, RunNews], era: int) -> None:
        """What was taken and could not be shown waits on, in front of what came since."""
        with self._lock:
            if era != self._era:
                return
            since = self._news
            back = {key: joined(older, since.pop(key)) if key in since else older for key, older in news.items()}
            self._news = back | since
            self._shed()

    def clear(self) -> None:
        """Begin a new era: what waits is of runs that may be another worker's."""
        with self._lock:
            self._news = {}
            self._era += 1

    def _shed(self) -> None:
        for key in list(self._news)[: max(0, len(self._news) - self._limit)]:
            del self._news[key]
