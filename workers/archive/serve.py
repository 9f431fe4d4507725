"""One archiver, put together."""

import contextlib
import logging

from prometheus_client import CollectorRegistry

from producers.kafka import KafkaSettings
from producers.logs import log_to_stderr
from producers.status_server import Check, StatusServer
from producers.topics import TopicSettings, check_topics, partition_counts, topic_names
from workers.archive.archiver import Archiver
from workers.archive.generations import Generations
from workers.archive.intake import markers
from workers.archive.metrics import ArchiveMetrics
from workers.ending import ended_by_signals
from workers.lake.writer import Lake
from workers.settings import ArchiveSettings
from workers.status import WorkerStatus
from workers.uris import shown

logger = logging.getLogger("streakline.archive")


class ArchiveService:
    """An archiver with all that it needs; `run` returns after SIGTERM or Ctrl-C, all that was read written."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, settings: ArchiveSettings) -> None:
        """Takes nothing from Kafka yet.

        Raises `TopicsError` where the broker is away or the topics are not as they have to be, ValueError for a lake
        that is none, OSError for a port that cannot be had.
        """
        check_topics(partition_counts(kafka), topics)
        names = topic_names(topics)
        archived = tuple(markers(names))
        Generations(kafka).of(archived)
        registry = CollectorRegistry()
        self._settings = settings
        self._archiver = Archiver(kafka, topics, settings, Lake(settings.lake), ArchiveMetrics(registry, archived))
        self._status_server = None
        if settings.metrics_port is not None:
            status = _ArchiverStatus(self._archiver, kafka, names.steps)
            self._status_server = StatusServer(
                settings.metrics_host, settings.metrics_port, registry, healthy=status.health, ready=status.readiness
            )

    def run(self, *, once: bool = False) -> None:
        """Work until a signal ends it, or with `once` until all that the topics hold now is in the lake.

        What this raises is a defect, but for the `TopicsError` and `TransientDiffError` of `once`, where the broker or
        the lake fails.
        """
        log_to_stderr(logging.getLevelNamesMapping()[self._settings.log_level.upper()])
        with contextlib.ExitStack() as stack:
            if self._status_server is not None:
                stack.enter_context(contextlib.closing(self._status_server))
                self._status_server.start()
            stack.enter_context(ended_by_signals(self._archiver.stop))
            logger.info("archiving to %s", shown(self._settings.lake))
            if once:
                self._archiver.run_once()
            else:
                self._archiver.run()


class _ArchiverStatus(WorkerStatus):
    def __init__(self, archiver: Archiver, kafka: KafkaSettings, topic: str) -> None:
        super().__init__(archiver, kafka, topic)
        self._archiver = archiver

    def readiness(self) -> list[Check]:
        """All pass: what comes will be in the lake."""
        waiting = self._archiver.is_waiting
        detail = "failed when last tried, see the log" if waiting else "takes what there is"
        return [*super().readiness(), Check("lake", not waiting, detail)]
