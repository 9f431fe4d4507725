"""Where a case of archivers is played: the archivers that are there, and what is published to them."""

import random
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from producers.codec import encode
from producers.events import RunStarted
from producers.settings import to_environ
from producers.topics import topic_names
from streakline.processes import spawn
from tests.commands import COMMAND
from tests.faults.cases import Case, Place
from tests.faults.hurting import Fault, Supervised, hurt
from tests.faults.supply import Supply
from tests.publishing import publish_to
from tests.regressed import diverging, regressed
from tests.worker import wait_until
from tests.workload import Published, fleet
from workers.settings import ArchiveSettings

_RUNS, _STEPS, _LAYERS, _CHAOS = 12, 150, 4, 0.05
_EVERY = 20
"""steps between two of what the other topics get"""
# By then an archiver's partitions are another's.
_SESSION_SECONDS = 2.0
_LASTS_SECONDS = 4.0
_GAPS_SECONDS = (0.1, 2.0)
LOAD_SECONDS = 8.0
"""in which everything would be published"""


class ArchiveStage:
    """For as long as the block runs; then all archivers are asked to end, and have to."""

    def __init__(self, case: Case, place: Place) -> None:
        self.case = case
        self.rng = random.Random(case.name)
        self.lake = place.folder / "lake"
        self._place = place
        records = list(_records(place, self.rng.randrange(1 << 30)))
        self.supply = Supply(records, lambda some: _publish(place, some))
        self._archivers: list[Supervised] = []
        self._logs: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for archiver in self._archivers:
            archiver.close()

    def archiver(self) -> Supervised:
        """One that is there from now on."""
        settings = ArchiveSettings(
            lake=str(self.lake),
            archive_seconds=0.5,
            archive_retry_seconds=0.05,
            session_timeout_seconds=_SESSION_SECONDS,
        )
        place = self._place
        environ = {**to_environ(settings), **to_environ(place.kafka), **to_environ(place.topics)}
        log = place.folder / f"archiver-{len(self._archivers)}.log"
        self._logs.append(log)
        self._archivers.append(Supervised(lambda: spawn([*COMMAND, "archive"], log=log, environ=environ)))
        return self._archivers[-1]

    def wait_for_files(self, count: int) -> None:
        """Wait until so many are in the lake."""
        wait_until(lambda: len(list(self.lake.rglob("[!.]*.parquet"))) >= count, timeout_seconds=120)

    def let_another_work(self) -> None:
        """Have an archiver write what is there, and put its lake aside: that one is found in place of the own."""
        if self.case.how != "data of another":
            return
        another = self.archiver()
        self.wait_for_files(1)
        another.close()
        shutil.copytree(self.lake, self._place.folder / "left-behind")

    def hurt(self, archiver: Supervised) -> None:
        """Do to it what the case says."""
        if self.case.how == "SIGTERM":
            # Before it listens to it, it just dies.
            wait_until(lambda: all("archiving to" in log.read_text() for log in self._logs), timeout_seconds=120)
        fault = Fault(
            self.case.how,
            data_dir=self.lake,
            data_of_another=self._place.folder / "left-behind",
            lasts_seconds=_LASTS_SECONDS,
            gaps_seconds=_GAPS_SECONDS,
        )
        hurt(archiver, fault, self.rng)


def _publish(place: Place, records: Iterable[tuple[str, Published]]) -> None:
    by_topic: dict[str, list[Published]] = defaultdict(list)
    for topic, record in records:
        by_topic[topic].append(record)
    for topic, its in by_topic.items():
        publish_to(place.kafka, topic, its)


def publish_some(place: Place) -> None:
    """A few records on each topic."""
    _publish(place, islice(_records(place, seed=0), 200))


def _records(place: Place, seed: int) -> Iterator[tuple[str, Published]]:
    """For all three topics, with what is no event among them."""
    names = topic_names(place.topics)
    for number, record in enumerate(fleet(_RUNS, _STEPS, _LAYERS, chaos=_CHAOS, seed=seed)):
        yield names.steps, record
        if number % _EVERY:
            continue
        run_id = f"run-{number % _RUNS}"
        key = run_id.encode()
        yield names.runs, Published(key, encode(RunStarted(run_id=run_id, ts=float(number), attempt=number)))
        yield names.signals, Published(key, encode(diverging(run_id, number)))
        yield names.signals, Published(key, encode(regressed(run_id, f"category-{number}")))
        yield names.runs, Published(key, b"{")
