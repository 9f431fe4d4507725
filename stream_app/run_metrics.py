"""The gauges of live runs, made from what is stored of them at the moment they are asked for.

Nothing is kept between two scrapes: a run that ended, or moved to another worker, is gone by itself. They are written
as text here, and not by prometheus_client: for 5,000 runs that is 17 ms of the interpreter's lock instead of 200.
"""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from producers import metrics
from stream_app.exposition import escaped, family
from stream_app.raw_records import RowKey
from stream_app.records import RunHead
from stream_app.settings import PerRunMetrics

# A run that is gone at once takes its last signal along before anything has scraped it.
LINGER_SECONDS = 300.0

Heads = Iterable[tuple[RowKey, RunHead]]


class LiveRun(Struct, frozen=True, gc=False):
    """One run to be shown."""

    run_id: str
    head: RunHead

    @property
    def is_active(self) -> bool:
        """Whether its next step is expected."""
        return not self.head.state.has_ended and not self.head.latest.is_replay


class Survey(Struct, frozen=True):
    """Every run a worker holds, counted, and those to be shown."""

    active: int
    ended: int
    replayed: int
    live: list[LiveRun]
    hidden: int
    """live runs that are too many to be shown"""


def survey(heads: Heads, limit: int, now: float) -> Survey:
    """Count the runs and choose at most `limit` live ones, those that changed last; `now` in Unix seconds."""
    active = ended = replayed = 0
    live = []
    for key, head in heads:
        run = LiveRun(key.name.decode(), head)
        active += run.is_active
        ended += head.state.has_ended
        replayed += not head.state.has_ended and head.latest.is_replay
        if run.is_active or now - head.seen_at <= LINGER_SECONDS:
            live.append(run)
    shown = live if len(live) <= limit else heapq.nlargest(limit, live, key=lambda run: run.head.seen_at)
    return Survey(active, ended, replayed, shown, len(live) - len(shown))


def render(runs: Survey, per_run: PerRunMetrics) -> str:
    """The survey in Prometheus' text format; `per_run` says which metrics with a ``run_id`` are among it."""
    states = ("active", runs.active), ("ended", runs.ended), ("replayed", runs.replayed)
    families = [
        family(metrics.RUNS, (f'{{state="{state}"}} {count}\n' for state, count in states)),
        family(metrics.HIDDEN_RUNS, [f" {0 if per_run == 'none' else runs.hidden}\n"]),
    ]
    # Ids hold nothing to escape, by contract; here it costs nothing not to rely on that.
    named = [(escaped(run.run_id), run) for run in runs.live]
    if per_run == "all":
        families += _run_families(named)
    if per_run != "none":
        families += _signal_families(named)
    return "".join(families)


class RunMetrics:
    """Surveys and renders what `heads` gives, which is nothing where only a part of the runs is known yet."""

    def __init__(self, heads: Callable[[], Heads], per_run: PerRunMetrics, limit: int) -> None:
        self._heads = heads
        self._per_run = per_run
        self._limit = limit

    def __call__(self) -> str:
        """The runs of this moment."""
        limit = 0 if self._per_run == "none" else self._limit
        return render(survey(self._heads(), limit, time.time()), self._per_run)


_Named = list[tuple[str, LiveRun]]


def _run_families(named: _Named) -> Iterator[str]:
    projects = ((name, escaped(run.head.state.project)) for name, run in named)
    yield family(metrics.RUN_INFO, (f'{{run_id="{name}",project="{project}"}} 1\n' for name, project in projects))
    yield _gauge(metrics.RUN_ACTIVE, named, lambda run: int(run.is_active))
    yield _gauge(metrics.RUN_LAST_EVENT, named, lambda run: run.head.latest.event_at)
    yield _gauge(metrics.RUN_LAST_STEP, named, lambda run: _or_none(run.head.state.last_step))
    yield _gauge(metrics.RUN_LOSS, named, lambda run: run.head.latest.loss)
    yield _gauge(metrics.RUN_GRAD_NORM, named, lambda run: run.head.latest.grad_norm)


def _gauge(metric: metrics.RunMetric, named: _Named, value_of: Callable[[LiveRun], float | None]) -> str:
    values = ((name, value_of(run)) for name, run in named)
    # Python's nan and inf are also Prometheus'.
    return family(metric, (f'{{run_id="{name}"}} {value!r}\n' for name, value in values if value is not None))


def _or_none(last_step: int) -> int | None:
    return None if last_step < 0 else last_step


def _signal_families(named: _Named) -> Iterator[str]:
    marks = [
        # Types are stored as they came: a record that somebody else wrote may hold what they would not.
        (f'{{run_id="{name}",type="{escaped(type_)}",severity="{severity}"}}', mark)
        for name, run in named
        for type_, by_severity in run.head.latest.marks.items()
        for severity, mark in by_severity.items()
    ]
    yield family(metrics.RUN_SIGNAL_LAST, (f"{labels} {mark.at!r}\n" for labels, mark in marks))
    yield family(metrics.RUN_SIGNAL_LAST_STEP, (f"{labels} {mark.step}\n" for labels, mark in marks))
