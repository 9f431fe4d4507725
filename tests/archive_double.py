"""A real archiver that kills itself, or falls asleep, once, where it is asked to.

``python -m tests.archive_double LAKE [WHEN MARKER]``: it dies at the first moment of that kind for which it could make
the file MARKER. The moments: ``before`` a file is written, ``half`` of it is, ``renamed`` and not committed,
``marker``: a table's file is there and that of the range is not, ``committed``. ``asleep``: it stops before it writes,
until SIGCONT.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import TopicPartition
from prometheus_client import CollectorRegistry

from producers.kafka import KafkaSettings
from producers.settings import load_settings
from producers.topics import TopicSettings
from workers.archive.archiver import Archiver
from workers.archive.metrics import ArchiveMetrics
from workers.ending import ended_by_signals
from workers.lake.durable import unconfirmed
from workers.lake.writer import Lake
from workers.settings import ArchiveSettings


class Death:
    """Comes once."""

    def __init__(self, when: str, marker: Path | None) -> None:
        self.when = when
        self.marker = marker

    def comes(self, when: str) -> None:
        if self.marker is None or when != self.when or self.marker.exists():
            return
        self.marker.touch()
        os.kill(os.getpid(), signal.SIGSTOP if when == "asleep" else signal.SIGKILL)


class DeadlyLake(Lake):
    """Its writes are where death comes."""

    death: Death

    def write_bytes(self, relative_path: str, data: bytes, confirm: Callable[[], None] = unconfirmed) -> str:
        self.death.comes("before")
        self.death.comes("asleep")
        if self.death.when == "half":
            half = Path(self._below_root(relative_path))
            half.parent.mkdir(parents=True, exist_ok=True)
            half.with_name(f".{half.name}.0123.tmp").write_bytes(data[: len(data) // 2])
            self.death.comes("half")
        path = super().write_bytes(relative_path, data, confirm)
        self.death.comes("marker" if relative_path.startswith("run_events/v=1/topic=") and "steps-" in path else "")
        self.death.comes("renamed")
        return path


class DeadlyArchiver(Archiver):
    """As are its commits."""

    death: Death

    def _commit(self, offset: TopicPartition) -> None:
        super()._commit(offset)
        self.death.comes("committed")


def main() -> None:
    """Archive until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    death = Death(*(sys.argv[2], Path(sys.argv[3])) if len(sys.argv) > 2 else ("", None))
    lake = DeadlyLake(sys.argv[1])
    lake.death = death
    archiver = DeadlyArchiver(
        load_settings(KafkaSettings),
        load_settings(TopicSettings),
        load_settings(ArchiveSettings),
        lake,
        ArchiveMetrics(CollectorRegistry(), ()),
    )
    archiver.death = death
    with ended_by_signals(archiver.stop):
        archiver.run()


if __name__ == "__main__":
    main()
