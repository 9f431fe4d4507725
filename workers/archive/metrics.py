"""An archiver's Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from producers import metrics


class ArchiveMetrics:
    """Every series is there from the start."""

    def __init__(self, registry: CollectorRegistry, topics: tuple[str, ...]) -> None:
        self.records = _counter(metrics.ARCHIVED_RECORDS, registry)
        self.skipped = _counter(metrics.ARCHIVE_SKIPPED, registry)
        self.bytes = _counter(metrics.ARCHIVED_BYTES, registry)
        self.held_bytes = _gauge(metrics.ARCHIVE_HELD_BYTES, registry)
        self.waiting = _gauge(metrics.ARCHIVE_WAITING, registry)
        self.lag = _gauge(metrics.ARCHIVE_LAG, registry)
        for topic in topics:
            self.lag.labels(topic)
            self.records.labels(topic)
            self.skipped.labels(topic)
        ProcessCollector(registry=registry)


def _counter(metric: metrics.Metric, registry: CollectorRegistry) -> Counter:
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def _gauge(metric: metrics.Metric, registry: CollectorRegistry) -> Gauge:
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)
