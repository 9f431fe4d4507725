"""Where a case of diff workers is played: the workers that are there, and the runs that complete."""

import random
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from msgspec import structs

from producers.redis.client import connect
from tests.diff_pool import Pool, Undisturbed, made_undisturbed
from tests.faults.cases import Case, Place
from tests.faults.hurting import Fault, Supervised, hurt
from tests.small_diffs import job, write_all, write_probes
from tests.worker import wait_until
from workers.coordination.board import Board
from workers.jobs import DiffJob
from workers.serve import READY

RUNS = 5
# By then a worker's partitions and its job are another's.
_LEASE_SECONDS, _SESSION_SECONDS = 1.0, 2.0
_LASTS_SECONDS = 4.0
_GAPS_SECONDS = (0.1, 2.0)
_folder = tempfile.TemporaryDirectory(prefix="streakline-models-")


@cache
def models() -> Path:
    """A base and its fine-tune, an SAE and probes, as small as they get; made once a process, like those below."""
    root = write_all(Path(_folder.name) / "models")
    write_probes(root / "probes.jsonl", per_kind=1)
    return root


@cache
def jobs() -> tuple[DiffJob, ...]:
    """One of each run."""
    return tuple(job(models(), run_id=f"run-{number}") for number in range(RUNS))


@cache
def undisturbed() -> Undisturbed:
    """What comes of `jobs` where nobody is hurt."""
    return made_undisturbed(models(), Path(_folder.name) / "undisturbed", *jobs())


class DiffStage:
    """For as long as the block runs; then all workers are asked to end, and have to."""

    def __init__(self, case: Case, place: Place, redis_url: str) -> None:
        self.case = case
        self.rng = random.Random(case.name)
        self.lake = place.folder / "lake"
        self.pool = Pool(
            place.kafka.kafka_bootstrap,
            redis_url,
            models(),
            place.folder,
            partitions=place.topics.partitions,
            lease_seconds=_LEASE_SECONDS,
            session_timeout_seconds=_SESSION_SECONDS,
            prefix=place.topics.topic_prefix,
            # They would be kept from being taken where no file may grow.
            takes_notes=False,
        )
        if case.how == "30 SIGKILLs":
            # Else a run is given up after its third worker, as one that takes its workers down with it.
            self.pool.settings = structs.replace(self.pool.settings, diff_attempts=1000)
        self._board = Board(connect(redis_url), place.topics.topic_prefix)
        self._waiting = list(jobs())
        self._workers: list[Supervised] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.close()
        self.pool.close()

    def worker(self) -> Supervised:
        """One that is there from now on."""
        # It does all that is asked of a `Popen` here.
        worker = Supervised(lambda: cast("subprocess.Popen[bytes]", self.pool.start(self.lake)))
        self._workers.append(worker)
        return worker

    def complete(self, count: int = RUNS) -> None:
        """So many of the runs that have not."""
        now, self._waiting = self._waiting[:count], self._waiting[count:]
        self.pool.complete(*now)

    def wait_for_work(self) -> None:
        """Wait until a diff is being made, and then for as long as the seed says; about as long as a diff takes."""
        wait_until(lambda: any(self._board.all()) or self.pool.committed() > 0, timeout_seconds=120)
        time.sleep(self.rng.uniform(0.0, 1.0))

    def hurt(self, worker: Supervised) -> None:
        """Do to it what the case says; its data are what it keeps of the bases it has measured."""
        if self.case.how == "SIGTERM":
            # Before it listens to it, it just dies.
            log = self.lake.with_suffix(".log")
            wait_until(lambda: log.read_text().count(READY) == len(self._workers), timeout_seconds=120)
        fault = Fault(
            self.case.how,
            data_dir=self.lake / "base_cache",
            lasts_seconds=_LASTS_SECONDS,
            gaps_seconds=_GAPS_SECONDS,
        )
        hurt(worker, fault, self.rng)
