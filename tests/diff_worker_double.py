"""A real diff worker whose diffs are made at once, slowly, or not at all, as their checkpoint's name says.

``python -m tests.diff_worker_double FOLDER``; every beginning and end of a diff is a line in ``FOLDER/log``.
"""

import logging
import os
import signal
import sys
import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from producers.events import DiffCompleted
from producers.kafka import KafkaSettings
from producers.settings import load_settings
from producers.topics import TopicSettings
from workers.diff_worker import DiffWorker
from workers.errors import DiffError, TransientDiffError
from workers.jobs import DiffJob, diff_id_of
from workers.metrics import DiffMetrics
from workers.progress import Progress
from workers.settings import DiffWorkerSettings

SLOW_SECONDS = 4.0


def result(job: DiffJob) -> DiffCompleted:
    """What is published of it."""
    ft_sha = "f" * 16
    return DiffCompleted(
        run_id=job.run_id,
        ts=job.completed_at,
        diff_id=diff_id_of(job, base_sha="b" * 16, ft_sha=ft_sha, config_hash="c"),
        base_sha="b" * 16,
        ft_sha=ft_sha,
        probes_sha="a" * 16,
        project=job.project,
    )


def main() -> None:
    """Work until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(sys.argv[1])

    def note(line: str) -> None:
        with (folder / "log").open("a") as file:
            file.write(f"{line}\n")

    def log() -> list[str]:
        path = folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def make(job: DiffJob, progress: Progress) -> DiffCompleted:
        if f"end {job.run_id}" in log():
            return result(job)
        progress("loading", 0.0)
        note(f"begin {job.run_id}")
        if job.checkpoint == "bad" or (job.checkpoint == "unmended" and not (folder / "mended").exists()):
            raise DiffError("checkpoint_invalid", "this is no checkpoint: make a better one")
        if job.checkpoint == "deadly":
            os._exit(9)
        if job.checkpoint == "flaky" and log().count(f"begin {job.run_id}") < 2:
            raise TransientDiffError("unavailable", "the disk was full for a moment")
        if job.checkpoint == "defect":
            raise ZeroDivisionError
        deadline = time.monotonic() + (SLOW_SECONDS if job.checkpoint == "slow" else 0.0)
        while time.monotonic() < deadline:
            progress("features", 0.5)
            time.sleep(0.02)
        progress("writing", 1.0)
        note(f"end {job.run_id}")
        return result(job)

    worker = DiffWorker(
        load_settings(KafkaSettings),
        load_settings(TopicSettings),
        load_settings(DiffWorkerSettings),
        make,
        DiffMetrics(CollectorRegistry()),
    )
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main()
