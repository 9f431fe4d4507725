"""A real regression writer that kills itself between the file and the commit, once, where it is asked to.

``python -m tests.regression_writer_double LAKE [MARKER [asleep]]``: it dies after a write for which it could make
MARKER. ``asleep``: it stops before that write, with what it is to write in its hands, and goes on upon SIGCONT.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
from msgspec import Struct

from producers.kafka import KafkaSettings
from producers.settings import load_settings
from producers.topics import TopicSettings
from workers.lake.durable import unconfirmed
from workers.lake.tables import Common
from workers.lake.writer import Lake
from workers.regression_writer import RegressionWriter
from workers.settings import DiffWorkerSettings

logger = logging.getLogger("streakline.double")


class DeadlyLake(Lake):
    """Its first write is its process's last deed, or the one that it stands still before."""

    marker: Path | None = None
    is_to_sleep = False

    def write(
        self,
        table: str,
        data: pa.Table | Sequence[Struct],
        common: Common,
        confirm: Callable[[], None] = unconfirmed,
    ) -> str:
        comes = self.marker is not None and not self.marker.exists()
        if comes and self.is_to_sleep:
            self._mark(signal.SIGSTOP)
        path = super().write(table, data, common, confirm)
        if comes and not self.is_to_sleep:
            self._mark(signal.SIGKILL)
        if comes:
            logger.info("it has slept, and written")
        return path

    def _mark(self, number: signal.Signals) -> None:
        assert self.marker is not None
        self.marker.touch()
        os.kill(os.getpid(), number)


def main() -> None:
    """Write until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    lake = DeadlyLake(sys.argv[1])
    lake.marker = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    lake.is_to_sleep = sys.argv[3:] == ["asleep"]
    writer = RegressionWriter(
        load_settings(KafkaSettings), load_settings(TopicSettings), load_settings(DiffWorkerSettings), lake
    )
    signal.signal(signal.SIGTERM, lambda *_: writer.stop())
    writer.run()


if __name__ == "__main__":
    main()
