"""A real stream worker as a process of its own, and what it has done so far."""

import contextlib
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from confluent_kafka import Message
from prometheus_client.parser import text_string_to_metric_families

from producers.kafka import KafkaSettings
from producers.settings import to_environ
from producers.topics import TopicSettings
from streakline.processes import free_port, spawn, stop
from stream_app.settings import StreamSettings

READY = "states recovered"
PROGRAM = ("-m", "streakline", "stream")


class Worker:
    """A running worker. Its session time-out is short, so that its partitions are soon another's."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicSettings,
        data_dir: Path,
        settings: StreamSettings,
        program: Sequence[str] = PROGRAM,
        redis_url: str | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.metrics_port = free_port()
        environ = {
            **to_environ(settings),
            **to_environ(kafka),
            **to_environ(topics),
            "STREAKLINE_DATA_DIR": str(data_dir),
            "STREAKLINE_METRICS_PORT": str(self.metrics_port),
            "STREAKLINE_SESSION_TIMEOUT_SECONDS": "3",
            # Nobody else's Redis, should there be one where ours would be by default.
            **({"STREAKLINE_LIVE": "false"} if redis_url is None else {"STREAKLINE_REDIS_URL": redis_url}),
        }
        self.process: subprocess.Popen[bytes] = spawn([sys.executable, *program], log=self.log, environ=environ)

    def exposed(self) -> str:
        """All of its metrics, as Prometheus gets them. Raises OSError where it does not answer."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as response:
            text: str = response.read().decode()
            return text

    def counter(self, name: str, **labels: str) -> float:
        """The value of one of its counters, 0 where it has none yet or does not answer."""
        try:
            text = self.exposed()
        except OSError:
            return 0.0
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return sum(
            sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    def events(self) -> float:
        """Records it has taken and acknowledged."""
        return self.counter("streakline_events_total")

    def wait_until_ready(self, times: int = 1, *, timeout_seconds: float = 60.0) -> None:
        """Wait until it has recovered its tables (for the `times`-th time)."""
        wait_until(lambda: self.log.exists() and self.log.read_text().count(READY) >= times, self, timeout_seconds)

    def wait_for_events(self, count: int, *, timeout_seconds: float = 120.0) -> None:
        """Wait until it has taken `count` records since it started."""
        wait_until(lambda: self.events() >= count, self, timeout_seconds)

    def kill(self) -> None:
        """End it without a chance to do anything about it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def wait_until(condition: Callable[[], bool], worker: Worker | None = None, timeout_seconds: float = 60.0) -> None:
    """Wait until `condition()` is true. Fails the test when the time is over or `worker` has ended."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert worker is None or worker.process.poll() is None, f"the worker ended:\n{worker.log.read_text()}"
        assert time.monotonic() < deadline, "it took too long" + ("" if worker is None else worker.log.read_text())
        time.sleep(0.1)


@contextlib.contextmanager
def running_worker(
    kafka: KafkaSettings,
    topics: TopicSettings,
    data_dir: Path,
    settings: StreamSettings | None = None,
    program: Sequence[str] = PROGRAM,
    redis_url: str | None = None,
) -> Iterator[Worker]:
    """A worker for as long as the block runs; it shows live runs where it is told of a Redis."""
    worker = Worker(kafka, topics, data_dir, settings or StreamSettings(), program, redis_url)
    try:
        yield worker
    finally:
        stop(worker.process)


def header(message: Message, name: str) -> str:
    """One header of a record, as text; empty where it has none."""
    for key, value in message.headers() or []:  # type: ignore[str-unpack]  # its stubs allow a mapping, too
        if key == name and isinstance(value, bytes):
            return value.decode()
    return ""
