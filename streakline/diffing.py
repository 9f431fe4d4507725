"""The diff workers, on this machine and for this stack only."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from streakline.extras import missing_for_diffs
from streakline.processes import free_port

Port = Annotated[int, Meta(ge=0, le=65_535)]

SESSION_TIMEOUT_SECONDS = "6"
"""of a diff worker; to join takes half of it on the local broker"""


class DiffingSettings(Struct, frozen=True, kw_only=True):
    """What to start beside the stream workers."""

    workers: Annotated[int, Meta(ge=0, le=8)] = 1
    metrics_port: Port = 9465
    """of the first diff worker, the others follow; 0: any free ports"""
    worker_environ: Mapping[str, str] = {}
    """variables of the diff workers, which go before those of our own environment"""


class Diffing:
    """Where the lake is, and how diff workers are run. What cannot be had is said, and done without."""

    def __init__(
        self, settings: DiffingSettings, state_dir: Path, redis_url: str | None, *, say: Callable[[str], None]
    ) -> None:
        self._given = settings.worker_environ
        self._environ = {**os.environ, **self._given}
        self.lake = lake_of(self._environ, state_dir)
        self.workers = settings.workers
        self._redis_url = redis_url
        self._metrics_port = settings.metrics_port
        missing = missing_for_diffs()
        if self.workers and missing is not None:
            self.workers = 0
            say(f"no diff worker: {missing} is not installed: pip install 'streakline[workers]'")

    def worker_port(self, index: int) -> int:
        """Where the diff worker of this number serves its metrics."""
        return self._metrics_port + index if self._metrics_port else free_port()

    def worker_environ(self) -> dict[str, str]:
        """What every diff worker is told, beside where Kafka is. What its environment says of it stands."""
        defaults = {
            "STREAKLINE_MODEL_ROOTS": str(Path.cwd()),
            "STREAKLINE_SESSION_TIMEOUT_SECONDS": SESSION_TIMEOUT_SECONDS,
        }
        chosen = {name: self._environ.get(name) or default for name, default in defaults.items()}
        environ = {**self._given, **chosen, "STREAKLINE_LAKE": self.lake}
        return environ if self._redis_url is None else {**environ, "STREAKLINE_REDIS_URL": self._redis_url}


def lake_of(environ: Mapping[str, str], state_dir: Path) -> str:
    """The lake that the environment names, or the stack's own."""
    lake = environ.get("STREAKLINE_LAKE") or str(state_dir / "lake")
    return lake if "://" in lake else str(Path(lake).absolute())
