"""What a worker counts, for Prometheus."""

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, start_http_server

from producers.events import Severity, SignalType
from stream_app.judging import Judgement


class StreamMetrics:
    """The counters of one worker."""

    def __init__(self, topic: str) -> None:
        self.registry = CollectorRegistry()
        self._events = self._counter("streakline_events", "Records taken from a topic.", ["topic"])
        self._ignored = self._counter(
            "streakline_ignored_events", "Duplicate and late events, and events of attempts that are over."
        )
        self._invalid = self._counter(
            "streakline_invalid_records", "Records sent to the dead letters.", ["topic", "reason"]
        )
        self._signals = self._counter("streakline_signals", "Signals emitted.", ["type", "severity"])
        self._expired = self._counter("streakline_expired_runs", "Runs whose state was deleted.")
        self._topic = topic
        # A counter that first appears at 1 hides its first increase from Prometheus.
        for type_ in get_args(SignalType):
            for severity in get_args(Severity):
                self._signals.labels(type_, severity)

    def _counter(self, name: str, documentation: str, labels: list[str] | None = None) -> Counter:
        return Counter(name, documentation, labels or [], registry=self.registry)

    def count(self, records: int, judgement: Judgement) -> None:
        """Add one batch that has been applied."""
        self._events.labels(self._topic).inc(records)
        self._ignored.inc(judgement.ignored)
        for refusal in judgement.refusals:
            self._invalid.labels(self._topic, refusal.reason).inc()
        for signal in judgement.signals:
            self._signals.labels(signal.type, signal.severity).inc()

    def count_expired(self, runs: int) -> None:
        """Add runs whose state was deleted."""
        self._expired.inc(runs)

    def serve(self, host: str, port: int) -> None:
        """Answer scrapes on ``http://host:port/metrics`` from a thread. Raises OSError where the port is taken."""
        start_http_server(port, host, self.registry)
