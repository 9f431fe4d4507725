"""A stream worker that is started again whenever it has ended."""

import subprocess
from collections.abc import Sequence

from stream_app.settings import StreamSettings
from tests.faults.cases import Place
from tests.faults.hurting import Supervised
from tests.worker import PROGRAM, READY, Worker, wait_until


class SupervisedWorker(Supervised):
    """With a data directory of its own, for as long as the block runs."""

    def __init__(self, place: Place, name: str, program: Sequence[str] = PROGRAM) -> None:
        self._place = place
        self._program = program
        self._said_before = 0
        self.data_dir = place.folder / name
        super().__init__(self._start_worker)

    @property
    def said(self) -> str:
        """What the process that runs now has logged."""
        return self._worker.log.read_text(errors="replace")[self._said_before :]

    @property
    def is_ready(self) -> bool:
        """Whether it has recovered its states."""
        return READY in self.said

    def wait_until_ready(self) -> None:
        """Wait until the process that runs then has recovered its states."""
        wait_until(lambda: self.is_ready, timeout_seconds=120)

    def wait_until_it_says(self, text: str) -> None:
        """Wait until the process that runs then has logged it."""
        wait_until(lambda: text in self.said, timeout_seconds=120)

    def _start_worker(self) -> subprocess.Popen[bytes]:
        log = self.data_dir.parent / f"{self.data_dir.name}.log"
        self._said_before = len(log.read_text(errors="replace")) if log.exists() else 0
        self._worker = Worker(self._place.kafka, self._place.topics, self.data_dir, StreamSettings(), self._program)
        return self._worker.process
