"""One diff worker, put together: what takes runs from Kafka, makes their diffs, and keeps the regressions."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry

from producers.kafka import KafkaSettings
from producers.logs import log_to_stderr
from producers.redis.client import connect
from producers.status_server import StatusServer
from producers.topics import TopicSettings, check_topics, partition_counts, topic_names
from workers.base_cache import BaseCache, BaseIndex
from workers.coordination.leases import Leases
from workers.diff import DiffMaker
from workers.diff_worker import DiffWorker
from workers.ending import ended_by_signals
from workers.lake.writer import Lake
from workers.metrics import DiffMetrics
from workers.models.loading import pick_device
from workers.regression_writer import RegressionWriter
from workers.settings import DiffSettings, DiffWorkerSettings
from workers.status import WorkerStatus
from workers.uris import shown

logger = logging.getLogger("streakline.diff")

READY = "waiting for completed runs"
_STOPS_WITHIN_SECONDS = 30.0


class Program(Protocol):
    """What runs until it is told to stop, from another thread."""

    def run(self) -> None:
        """Returns once `stop` was called."""

    def stop(self) -> None:
        """End soon."""


class DiffService:
    """A diff worker with all that it needs; `run` returns after SIGTERM or Ctrl-C, its diff handed back."""

    def __init__(
        self, kafka: KafkaSettings, topics: TopicSettings, settings: DiffWorkerSettings, diff_settings: DiffSettings
    ) -> None:
        """Takes nothing from Kafka yet.

        Raises `TopicsError` where the broker is away or the topics are not as they have to be, `RedisAway` for a URL
        that is none, ValueError for a lake or a device that cannot be, OSError for a port that cannot be had.
        """
        check_topics(partition_counts(kafka), topics)
        client = connect(settings.redis_url)
        lake = Lake(diff_settings.lake)
        leases = Leases(client, topics.topic_prefix, settings.lease_seconds)
        cache = BaseCache(lake, leases, BaseIndex(client, topics.topic_prefix))
        registry = CollectorRegistry()
        pick_device(diff_settings.device)
        make_diff = DiffMaker(diff_settings, cache=cache)
        self._lake = shown(diff_settings.lake)
        self._log_level = settings.log_level
        self._worker = DiffWorker(kafka, topics, settings, make_diff, DiffMetrics(registry))
        self._regressions = RegressionWriter(kafka, topics, settings, lake)
        loops = {"regressions": self._regressions.stalls}
        self._status_server = _status_server(
            settings, registry, WorkerStatus(self._worker, kafka, topic_names(topics).runs, loops)
        )

    def run(self) -> None:
        """Work until a signal ends it. Raises `FailureLimitReached`; what else this raises is a defect."""
        log_to_stderr(logging.getLevelNamesMapping()[self._log_level.upper()])
        with (
            self._answering(),
            beside(self._regressions, "regressions", self._worker.stop),
            ended_by_signals(self._worker.stop),
        ):
            logger.info("%s; diffs go to %s", READY, self._lake)
            self._worker.run()

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        if self._status_server is None:
            yield
            return
        with contextlib.closing(self._status_server) as server:
            server.start()
            yield


def _status_server(
    settings: DiffWorkerSettings, registry: CollectorRegistry, status: WorkerStatus
) -> StatusServer | None:
    if settings.metrics_port is None:
        return None
    return StatusServer(
        settings.metrics_host, settings.metrics_port, registry, healthy=status.health, ready=status.readiness
    )


@contextlib.contextmanager
def beside(program: Program, name: str, stop: Callable[[], None]) -> Iterator[None]:
    """Run `program` in a thread of its own for as long as the block does.

    Where it fails `stop` is called, which has to end the block, and its error is raised: half a worker is none.
    """
    errors: list[Exception] = []

    def run() -> None:
        try:
            program.run()
        except Exception as error:
            logger.error("%s failed (%s), so this worker ends", name, type(error).__name__)
            errors.append(error)
            stop()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        program.stop()
        thread.join(_STOPS_WITHIN_SECONDS)
    if errors:
        raise errors[0]
