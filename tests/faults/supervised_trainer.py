"""A trainer that is started again, as the next attempt of its run, until one of them comes to its end."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from producers.settings import to_environ
from producers.spool.settings import SpoolSettings
from tests.documents import ROOT
from tests.faults.cases import Place
from tests.faults.hurting import Supervised
from tests.worker import wait_until

RUN_ID = "hurt"
_FINISHING_SECONDS = 180.0


class SupervisedTrainer(Supervised):
    """Attempts 1, 2, … of one run of `steps`, each `pause_seconds(attempt)` between two of them, played by the
    module and arguments of `program(attempt)`.
    """

    def __init__(
        self,
        place: Place,
        steps: int,
        pause_seconds: Callable[[int], float],
        program: Callable[[int], Sequence[str]] = lambda _: ("tests.faults.hurt_trainer",),
    ) -> None:
        self.kept: list[int] = []
        """by attempt: the records that it said were kept"""
        self.spool = place.folder / "spool"
        self.log = place.folder / "trainer.log"
        self._steps = steps
        self._program = program
        self._pause_seconds = pause_seconds
        self._environ = {
            **os.environ,
            **to_environ(place.kafka),
            **to_environ(place.topics),
            **to_environ(SpoolSettings(spool_dir=str(self.spool))),
        }
        super().__init__(self._start_trainer, may_finish=True)

    @property
    def attempt(self) -> int:
        """That runs."""
        return len(self.kept)

    def wait_until_kept(self, records: int) -> None:
        """Wait until the attempt that runs then has said that so many were kept."""
        wait_until(lambda: self.kept[-1] >= records, timeout_seconds=_FINISHING_SECONDS)

    def wait_until_finished(self) -> None:
        """Wait until an attempt has come to its end, with everything delivered."""
        wait_until(lambda: self.process.poll() == 0, timeout_seconds=_FINISHING_SECONDS)

    def _start_trainer(self) -> subprocess.Popen[bytes]:
        self.kept.append(0)
        arguments = map(str, (RUN_ID, self.attempt, self._steps, self._pause_seconds(self.attempt)))
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *self._program(self.attempt), *arguments],
                cwd=ROOT,
                env=self._environ,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        threading.Thread(target=self._listen, args=(process, self.attempt - 1), daemon=True).start()
        return process

    def _listen(self, process: subprocess.Popen[bytes], index: int) -> None:
        assert process.stdout is not None
        with process.stdout as said:
            for line in said:
                if line.endswith(b"\n"):
                    self.kept[index] = int(line)
