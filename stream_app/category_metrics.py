"""The gauge of what each project's latest run scores, made from the stored histories at the moment it is asked for."""

import heapq
import time
from collections.abc import Callable, Iterable

from producers import metrics
from stream_app.exposition import escaped, family
from stream_app.histories import ProjectHistory
from stream_app.regressing import latest_deltas
from stream_app.settings import PerRunMetrics

SHOWN_SECONDS = 24 * 3600.0
"""after its completion; a clock may be as far ahead, too"""

Histories = Iterable[ProjectHistory]


def render(histories: Histories, per_run: PerRunMetrics, limit: int, now: float) -> str:
    """The latest run of each project in Prometheus' text format, at most `limit` of them; `now` in Unix seconds."""
    if per_run == "none":
        return ""
    fresh = [history for history in histories if history.runs and abs(now - history.runs[-1].ts) <= SHOWN_SECONDS]
    shown = fresh if len(fresh) <= limit else heapq.nlargest(limit, fresh, key=_completed_at)
    # Two projects may have a run of the same name, and a sample must not be there twice: the later one wins.
    deltas = {
        (history.runs[-1].run_id, category): delta
        for history in sorted(shown, key=_completed_at)
        for category, delta in latest_deltas(history).items()
    }
    return family(
        metrics.CATEGORY_DELTA,
        (
            f'{{run_id="{escaped(run_id)}",category="{escaped(category)}"}} {delta!r}\n'
            for (run_id, category), delta in deltas.items()
        ),
    )


class CategoryMetrics:
    """Renders what `histories` gives, which is nothing where only a part of the projects is known yet."""

    def __init__(self, histories: Callable[[], Histories], per_run: PerRunMetrics, limit: int) -> None:
        self._histories = histories
        self._per_run = per_run
        self._limit = limit

    def __call__(self) -> str:
        """The projects of this moment."""
        return render(self._histories(), self._per_run, self._limit, time.time())


def _completed_at(history: ProjectHistory) -> float:
    return history.runs[-1].ts
