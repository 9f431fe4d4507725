"""The archiver, on this machine and for this stack only."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from streakline.diffing import SESSION_TIMEOUT_SECONDS, Port, lake_of
from streakline.extras import missing_for_archive
from streakline.processes import free_port

ARCHIVE_SECONDS = "10"
"""after which files are written: what there is to see on one machine is looked at while it comes"""


class ArchivingSettings(Struct, frozen=True, kw_only=True):
    """How the archiver is started."""

    metrics_port: Port = 9466
    """0: any free port"""
    worker_environ: Mapping[str, str] = {}
    """variables of the archiver, which go before those of our own environment"""


class Archiving:
    """Where the lake is, and how the archiver is run. Where it cannot be, that is said, and done without."""

    def __init__(self, settings: ArchivingSettings, state_dir: Path, *, say: Callable[[str], None]) -> None:
        self._given = settings.worker_environ
        self._environ = {**os.environ, **self._given}
        self._metrics_port = settings.metrics_port
        self.lake = lake_of(self._environ, state_dir)
        missing = missing_for_archive()
        self.is_possible = missing is None
        if missing is not None:
            say(f"no archiver: {missing} is not installed: pip install 'streakline[workers]'")

    def port(self) -> int:
        """Where the archiver serves its metrics."""
        return self._metrics_port or free_port()

    def environ(self) -> dict[str, str]:
        """What the archiver is told, beside where Kafka is. What its environment says of it stands."""
        defaults = {
            "STREAKLINE_ARCHIVE_SECONDS": ARCHIVE_SECONDS,
            "STREAKLINE_SESSION_TIMEOUT_SECONDS": SESSION_TIMEOUT_SECONDS,
        }
        chosen = {name: self._environ.get(name) or default for name, default in defaults.items()}
        return {**self._given, **chosen, "STREAKLINE_LAKE": self.lake}
