"""What a worker counts of its batches, for Prometheus."""

from collections.abc import Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from producers import metrics
from producers.events import SIGNAL_TYPES, Severity
from stream_app.diff_judging import DiffJudgement
from stream_app.installed import InstalledDetector
from stream_app.judging import Judgement
from stream_app.latest import is_history
from stream_app.raw_records import RefusalReason

DELAY_BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)


class StreamMetrics:
    """The counters of one worker."""

    def __init__(
        self, steps: str, diffs: str, registry: CollectorRegistry, installed: Sequence[InstalledDetector] = ()
    ) -> None:
        self._steps = steps
        self._diffs = diffs
        self._registry = registry
        self._events = self._counter(metrics.EVENTS)
        self._ignored = self._counter(metrics.IGNORED_EVENTS)
        self._invalid = self._counter(metrics.INVALID_RECORDS)
        self._invalid_last = self._gauge(metrics.INVALID_RECORD_LAST)
        self._signals = self._counter(metrics.SIGNALS)
        self._detector_failures = self._counter(metrics.DETECTOR_FAILURES)
        self._expired = self._counter(metrics.EXPIRED_RUNS)
        self._last_batch = self._gauge(metrics.LAST_BATCH)
        self._shown = self._counter(metrics.LIVE_BATCHES)
        self._not_shown = self._counter(metrics.LIVE_FAILURES)
        self._redis_away = self._gauge(metrics.LIVE_AWAY)
        self._delay = Histogram(
            metrics.EVENT_DELAY.name, metrics.EVENT_DELAY.help, registry=registry, buckets=DELAY_BUCKETS_SECONDS
        )
        # A counter that first appears at 1 hides its first increase from Prometheus.
        for type_ in (*SIGNAL_TYPES, *(each.judge.type for each in installed)):
            for severity in get_args(Severity):
                self._signals.labels(type_, severity)
        detector_info = self._gauge(metrics.DETECTOR_INFO)
        for each in installed:
            self._detector_failures.labels(each.judge.type)
            detector_info.labels(each.judge.type, each.version).set(1)
        for topic in (steps, diffs):
            self._events.labels(topic)
            for reasons in get_args(RefusalReason):
                for reason in get_args(reasons):
                    self._invalid.labels(topic, reason)

    def count(self, records: int, judgement: Judgement, now: float) -> None:
        """Add one batch of steps that has been applied at `now` (Unix seconds)."""
        self._last_batch.set(now)
        self._count(self._steps, records, judgement, now)
        for failure in judgement.failures:
            self._detector_failures.labels(failure.type).inc()
        for ts in judgement.step_times:
            if not is_history(ts, now):
                self._delay.observe(max(0.0, now - ts))

    def count_diffs(self, records: int, judgement: DiffJudgement, now: float) -> None:
        """Add one batch of diffs that has been applied at `now` (Unix seconds)."""
        self._count(self._diffs, records, judgement, now)

    def count_expired(self, runs: int) -> None:
        """Add runs whose state was deleted."""
        self._expired.inc(runs)

    def count_shown(self, batches: int) -> None:
        """Add what was written of live runs."""
        self._shown.inc(batches)

    def count_not_shown(self) -> None:
        """Add a time that something of live runs could not be written."""
        self._not_shown.inc()

    def redis_is_away(self, is_away: bool) -> None:
        """Whether it was when it was last asked."""
        self._redis_away.set(is_away)

    def _count(self, topic: str, records: int, judgement: Judgement | DiffJudgement, now: float) -> None:
        self._events.labels(topic).inc(records)
        self._ignored.inc(judgement.ignored)
        for refusal in judgement.refusals:
            self._invalid.labels(topic, refusal.reason).inc()
            self._invalid_last.labels(topic, refusal.reason).set(now)
        for signal in judgement.signals:
            self._signals.labels(signal.type, signal.severity).inc()

    def _counter(self, metric: metrics.Metric) -> Counter:
        return Counter(metric.name.removesuffix("_total"), metric.help, metric.labels, registry=self._registry)

    def _gauge(self, metric: metrics.Metric) -> Gauge:
        return Gauge(metric.name, metric.help, metric.labels, registry=self._registry)
