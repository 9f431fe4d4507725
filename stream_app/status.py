"""What a worker knows of itself, gathered from Faust and the broker: for its metrics, /healthz and /readyz."""

import time
from collections.abc import Iterable, Iterator, Set
from typing import cast

import faust
from faust.tables.manager import TableManager
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from producers import metrics
from producers.stalls import StallWatch
from producers.status_server import Check, turns
from stream_app.broker_watch import BrokerWatch
from stream_app.lag import Lag, LagTracker
from stream_app.raw_records import RawRecord
from stream_app.readiness import Facts, readiness
from stream_app.standstill import Progress, read_so_far


class WorkerStatus(Collector):
    """Written by the event loop, read by the threads that answer HTTP."""

    def __init__(self, app: faust.App, topic: str, watch: BrokerWatch, stalls: StallWatch) -> None:
        self._app = app
        self._topic = topic
        self._watch = watch
        self._stalls = stalls
        self._lag = LagTracker()
        self._is_assigned = False
        self._recovered_generation: int | None = None
        self._idle_since = time.monotonic()
        app.on_partitions_revoked.connect(self._on_revoked)
        app.on_partitions_assigned.connect(self._on_assigned)

    @property
    def recovered_generation(self) -> int | None:
        """The assignment whose tables hold all there is; None while they are being recovered."""
        generation = self._app.consumer_generation_id
        if self._recovered_generation == generation or (self._is_assigned and not self._partitions()):
            return generation
        return None

    def recovered(self) -> None:
        """The tables of the present assignment have caught up."""
        self._recovered_generation = self._app.consumer_generation_id
        self._idle_since = time.monotonic()

    def applied(self, records: Iterable[RawRecord]) -> None:
        """A batch was applied and acknowledged."""
        for record in records:
            self._lag.applied(record.partition, record.offset, record.published_at)
        self._idle_since = time.monotonic()

    def facts(self) -> Facts:
        """What is known at this moment."""
        lags = self._lags().values()
        return Facts(
            broker_silent_seconds=self._watch.silent_seconds,
            broker_error=self._watch.error,
            is_rebalancing=not self._is_assigned,
            partitions=len(self._partitions()),
            has_recovered=self.recovered_generation is not None,
            waiting_records=sum(lag.records for lag in lags),
            waiting_seconds=max((lag.seconds for lag in lags), default=0.0),
            idle_seconds=time.monotonic() - self._idle_since,
        )

    def progress(self) -> Progress:
        """How far it has come with getting ready."""
        # Not before there are partitions: who first asks Faust for its recovery makes it, and no other thread may.
        recovery = cast("TableManager", self._app.tables).recovery if self._is_assigned else None
        return Progress(
            is_ready=self._is_assigned and self.recovered_generation is not None,
            generation=self._app.consumer_generation_id,
            # At once: the event loop may be adding to them.
            recovered=0 if recovery is None else read_so_far(list(recovery.active_offsets.values())),
        )

    def health(self) -> list[Check]:
        """Passes: the process need not be killed."""
        return [turns("loop", self._stalls)]

    def readiness(self) -> list[Check]:
        """All pass: records that arrive are judged."""
        return [*self.health(), *readiness(self.facts())]

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: registering it asks nobody."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Lag by partition, and each check of /readyz."""
        records, seconds, ready = (
            GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for metric in (metrics.LAG_RECORDS, metrics.LAG_SECONDS, metrics.READY)
        )
        for partition, lag in sorted(self._lags().items()):
            labels = (self._topic, str(partition))
            records.add_metric(labels, lag.records)
            seconds.add_metric(labels, lag.seconds)
        for check in self.readiness():
            ready.add_metric((check.name,), float(check.passes))
        yield from (records, seconds, ready)

    def _lags(self) -> dict[int, Lag]:
        return self._lag.measure(self._watch.offsets, time.time())

    def _partitions(self) -> Set[int]:
        return {tp.partition for tp in self._app.assignor.assigned_actives() if tp.topic == self._topic}

    async def _on_revoked(self, *_: object, **__: object) -> None:
        self._is_assigned = False

    async def _on_assigned(self, *_: object, **__: object) -> None:
        self._is_assigned = True
        self._lag.assign(self._partitions(), time.time())
