"""A diff worker's Prometheus metrics."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from producers import metrics


class DiffMetrics:
    """Every name is there from the start, so that rates can be taken of the first failure, too."""

    def __init__(self, registry: CollectorRegistry) -> None:
        jobs = Counter(metrics.DIFF_JOBS.name, metrics.DIFF_JOBS.help, metrics.DIFF_JOBS.labels, registry=registry)
        self._success, self._failure = jobs.labels("success"), jobs.labels("failure")
        self.queue = Gauge(metrics.DIFF_QUEUE.name, metrics.DIFF_QUEUE.help, registry=registry)
        self._last = Gauge(metrics.DIFF_LAST_SUCCESS.name, metrics.DIFF_LAST_SUCCESS.help, registry=registry)
        self._last.set(time.time())
        ProcessCollector(registry=registry)

    def succeeded(self, now: float) -> None:
        """One diff is in the lake, and told of."""
        self._success.inc()
        self._last.set(now)

    def failed(self) -> None:
        """One diff cannot be made."""
        self._failure.inc()
