"""The gauges of live runs, made from what is stored of them at the moment they are asked for.

Nothing is kept between two scrapes: a run that ended, or moved to another worker, is gone by itself.
"""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from producers import metrics
from stream_app.judging import RunKey
from stream_app.records import RunHead
from stream_app.settings import PerRunMetrics

# A run that is gone at once takes its last signal along before anything has scraped it.
LINGER_SECONDS = 300.0

Heads = Iterable[tuple[RunKey, RunHead]]


class LiveRun(Struct, frozen=True):
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
        run = LiveRun(key.run.decode(), head)
        active += run.is_active
        ended += head.state.has_ended
        replayed += not head.state.has_ended and head.latest.is_replay
        if run.is_active or now - head.seen_at <= LINGER_SECONDS:
            live.append(run)
    shown = live if len(live) <= limit else heapq.nlargest(limit, live, key=lambda run: run.head.seen_at)
    return Survey(active, ended, replayed, shown, len(live) - len(shown))


class RunCollector(Collector):
    """Surveys what `heads` gives at every scrape: nothing, where only a part of the runs is known yet."""

    def __init__(self, heads: Callable[[], Heads], per_run: PerRunMetrics, limit: int) -> None:
        self._heads = heads
        self._per_run = per_run
        self._limit = limit

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: registering it must not look at any run."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family after the other."""
        runs = survey(self._heads(), 0 if self._per_run == "none" else self._limit, time.time())
        yield _family(
            metrics.RUNS, [(("active",), runs.active), (("ended",), runs.ended), (("replayed",), runs.replayed)]
        )
        yield _family(metrics.HIDDEN_RUNS, [((), 0 if self._per_run == "none" else runs.hidden)])
        if self._per_run == "all":
            yield from _run_families(runs.live)
        if self._per_run != "none":
            yield from _signal_families(runs.live)


Samples = Iterable[tuple[tuple[str, ...], float]]


def _family(metric: metrics.Metric, samples: Samples) -> GaugeMetricFamily:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _run_families(runs: list[LiveRun]) -> Iterator[GaugeMetricFamily]:
    yield _family(metrics.RUN_INFO, (((run.run_id, run.head.state.project), 1.0) for run in runs))
    values: dict[metrics.Metric, Callable[[LiveRun], float | None]] = {
        metrics.RUN_ACTIVE: lambda run: float(run.is_active),
        metrics.RUN_LAST_EVENT: lambda run: run.head.latest.event_at,
        metrics.RUN_LAST_STEP: lambda run: run.head.state.last_step if run.head.state.last_step >= 0 else None,
        metrics.RUN_LOSS: lambda run: run.head.latest.loss,
        metrics.RUN_GRAD_NORM: lambda run: run.head.latest.grad_norm,
    }
    for metric, value_of in values.items():
        yield _family(metric, (((run.run_id,), value) for run in runs if (value := value_of(run)) is not None))


def _signal_families(runs: list[LiveRun]) -> Iterator[GaugeMetricFamily]:
    marks = [
        ((run.run_id, type_, severity), mark)
        for run in runs
        for type_, by_severity in run.head.latest.marks.items()
        for severity, mark in by_severity.items()
    ]
    yield _family(metrics.RUN_SIGNAL_LAST, ((labels, mark.at) for labels, mark in marks))
    yield _family(metrics.RUN_SIGNAL_LAST_STEP, ((labels, float(mark.step)) for labels, mark in marks))
