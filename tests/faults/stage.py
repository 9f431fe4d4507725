"""Where a case of stream workers is played: the workers that are there, and what is published to them."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.cases import Case, Place
from tests.faults.hurting import Fault, hurt
from tests.faults.judged import lag_in_the_end
from tests.faults.supervised_worker import SupervisedWorker
from tests.faults.supply import Supply
from tests.publishing import publish
from tests.worker import PROGRAM
from tests.workload import fleet

_RUNS = 14
_STEPS = 500
_LAYERS = 4
_CHAOS = 0.02

# The session time-out of a worker in tests is 3 s: by then its partitions are another's.
_LASTS_SECONDS = 6.0
_GAPS_SECONDS = (0.1, 4.0)


class Stage:
    """For as long as the block runs; then all workers are asked to end, and have to."""

    def __init__(self, case: Case, place: Place) -> None:
        self.case = case
        self.rng = random.Random(case.name)
        self.workers: list[SupervisedWorker] = []
        self.place = place
        records = list(fleet(_RUNS, _STEPS, _LAYERS, chaos=_CHAOS, seed=self.rng.randrange(1 << 30)))
        self.supply = Supply(records, lambda some: publish(place.kafka, place.topics, some))
        self._data_of_another: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.close()

    def worker(self, name: str, program: Sequence[str] = PROGRAM) -> SupervisedWorker:
        """A worker that is there from now on."""
        worker = SupervisedWorker(self.place, name, program)
        self.workers.append(worker)
        return worker

    def let_another_work(self) -> None:
        """Have a worker judge what is there and die: its data directory is what another's is replaced by."""
        if self.case.how != "data of another":
            return
        another = SupervisedWorker(self.place, "another")
        lag_in_the_end(self.place.kafka, self.place.topics)
        with another.held_down():
            shutil.copytree(another.data_dir, self.place.folder / "left-behind")
        another.close()
        self._data_of_another = self.place.folder / "left-behind"

    def hurt(self, worker: SupervisedWorker) -> None:
        """Do to it what the case says."""
        fault = Fault(
            self.case.how,
            data_dir=worker.data_dir,
            data_of_another=self._data_of_another,
            lasts_seconds=_LASTS_SECONDS,
            gaps_seconds=_GAPS_SECONDS,
        )
        hurt(worker, fault, self.rng)
