"""Stream workers, what they are given to judge while the network fails, and what came of it."""

import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from stream_app.settings import StreamSettings
from tests.diff_service import ask
from tests.faults.cases import Figures
from tests.faults.hurting import Supervised
from tests.faults.judged import judged, lag_in_the_end
from tests.faults.load import load
from tests.worker import PROGRAM, Worker

SETTINGS = StreamSettings(broker_timeout_seconds=6.0, standstill_seconds=60.0)


class SupervisedWorker(Supervised):
    """A stream worker that is started again whenever it ends, on the same data directory."""

    now: Worker

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicSettings,
        data_dir: Path,
        settings: StreamSettings = SETTINGS,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        def start() -> subprocess.Popen[bytes]:
            self.now = Worker(kafka, topics, data_dir, settings, program)
            return self.now.process

        super().__init__(start)

    def fails(self) -> set[str]:
        """The checks of /readyz that do not pass; empty only where all do."""
        status, details = ask(f"http://127.0.0.1:{self.now.metrics_port}/readyz")
        return set(details) if status else {"answers"}


class StreamScene:
    """Topics of its own, and the workers on them."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> None:
        self.kafka, self.topics, self.folder = kafka, topics, folder

    def worker(
        self, name: str, settings: StreamSettings = SETTINGS, program: Sequence[str] = PROGRAM
    ) -> SupervisedWorker:
        """For as long as the block runs; its data directory has this name."""
        return SupervisedWorker(self.kafka, self.topics, self.folder / name, settings, program)

    def load(
        self, *, steps: int = 600, a_second: int = 1_000, seed: int = 0
    ) -> contextlib.AbstractContextManager[None]:
        """As the function does."""
        return load(self.kafka, self.topics, steps=steps, a_second=a_second, seed=seed)

    def figures(self, *workers: Supervised) -> Figures:
        """What came of it, once all is judged or nothing more is; ends the workers."""
        lag = lag_in_the_end(self.kafka, self.topics)
        for worker in workers:
            worker.close()
        return judged(self.kafka, self.topics, lag=lag)
