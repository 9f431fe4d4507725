"""A real regression writer that kills itself between the file and the commit, once, where it is asked to.

``python -m tests.regression_writer_double LAKE [MARKER]``: it dies after a write for which it could make MARKER.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from msgspec import Struct

from producers.kafka import KafkaSettings
from producers.settings import load_settings
from producers.topics import TopicSettings
from workers.lake.tables import Common
from workers.lake.writer import Lake
from workers.regression_writer import RegressionWriter
from workers.settings import DiffWorkerSettings


class DeadlyLake(Lake):
    """Its first write is its process's last deed."""

    marker: Path | None = None

    def write(self, table: str, data: pa.Table | Sequence[Struct], common: Common) -> str:
        path = super().write(table, data, common)
        if self.marker is not None and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return path


def main() -> None:
    """Write until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    lake = DeadlyLake(sys.argv[1])
    lake.marker = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    writer = RegressionWriter(
        load_settings(KafkaSettings), load_settings(TopicSettings), load_settings(DiffWorkerSettings), lake
    )
    signal.signal(signal.SIGTERM, lambda *_: writer.stop())
    writer.run()


if __name__ == "__main__":
    main()
