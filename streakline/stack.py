"""The local stack: broker and stream workers on this machine, started, watched and stopped together."""

import contextlib
import fcntl
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Annotated

from msgspec import Meta, Struct

from producers.kafka import KafkaSettings
from producers.settings import to_environ
from producers.topics import TopicSettings, ensure_topics
from streakline.broker import start_broker
from streakline.processes import free_port, spawn, stop

MAX_RESTARTS = 5
RESTART_WINDOW_SECONDS = 60.0
WATCH_INTERVAL_SECONDS = 0.5

_LOOPBACK = "127.0.0.1"


class StackError(RuntimeError):
    """The local stack cannot run; the message says what to do."""


class StackSettings(Struct, frozen=True, kw_only=True):
    """What to start, and where it keeps its files."""

    state_dir: Path = Path(".streakline")
    broker_port: Annotated[int, Meta(ge=0, le=65_535)] | None = 9092
    """of the local broker; 0: any free port; None: there is a broker already"""
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    metrics_port: Annotated[int, Meta(ge=0, le=65_535)] = 9464
    """of the first stream worker, the others follow; 0: any free ports"""


class Worker(Struct):
    """One stream worker of the stack."""

    name: str
    metrics_url: str
    environ: dict[str, str]
    data_dir: Path
    process: subprocess.Popen[bytes]


class Stack:
    """The running stack. Leaving the ``with`` block stops everything it started.

    Raises `StackError`, `BrokerError` or `TopicsError` with a sentence where it cannot start.
    """

    def __init__(
        self,
        settings: StackSettings,
        kafka: KafkaSettings,
        topics: TopicSettings,
        *,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.kafka = kafka
        self.topics = topics
        self.workers: list[Worker] = []
        self.logs = settings.state_dir.absolute() / "logs"
        self._say = say
        self._broker: subprocess.Popen[bytes] | None = None
        self._restarts: deque[float] = deque(maxlen=MAX_RESTARTS)
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> "Stack":
        self.logs.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as undo:
            undo.enter_context(_only_stack_in(self.settings.state_dir))
            undo.callback(self._stop)
            self._start()
            self._exits = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def watch(self, seconds: float) -> None:
        """Restart what dies during the next `seconds`. Raises `StackError` when something keeps dying."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, WATCH_INTERVAL_SECONDS))

    def check(self) -> None:
        """Restart what has died. Raises `StackError` when something keeps dying."""
        if self._broker is not None and self._broker.poll() is not None:
            self._count_restart("the broker")
            self._say("the broker died, and what it held with it: starting everything anew")
            self._stop()
            self._start()
        for worker in self.workers:
            status = worker.process.poll()
            if status is not None:
                self._count_restart(worker.name)
                self._say(f"{worker.name} ended with status {status}: starting it again")
                worker.process = self._spawn_worker(worker.name, worker.environ)

    def _count_restart(self, name: str) -> None:
        now = time.monotonic()
        if len(self._restarts) == MAX_RESTARTS and now - self._restarts[0] < RESTART_WINDOW_SECONDS:
            raise StackError(f"{name} keeps dying: see {self.logs}")
        self._restarts.append(now)

    def _start(self) -> None:
        if self.settings.broker_port is not None:
            port = self.settings.broker_port or free_port()
            self._broker = start_broker(port, self.logs / "broker.log")
            self.kafka = KafkaSettings(kafka_bootstrap=f"{_LOOPBACK}:{port}")
            # The broker starts empty, and stored states of a topic that is gone would ignore the new one's events.
            shutil.rmtree(self._data_root, ignore_errors=True)
        ensure_topics(self.kafka, self.topics)
        self.workers = [self._start_worker(index) for index in range(self.settings.workers)]

    def _start_worker(self, index: int) -> Worker:
        name = f"stream-{index + 1}"
        port = self.settings.metrics_port + index if self.settings.metrics_port else free_port()
        data_dir = self._data_root / name
        environ = {
            **to_environ(self.kafka),
            **to_environ(self.topics),
            "STREAKLINE_DATA_DIR": str(data_dir),
            "STREAKLINE_METRICS_PORT": str(port),
        }
        return Worker(
            name=name,
            metrics_url=f"http://{_LOOPBACK}:{port}/metrics",
            environ=environ,
            data_dir=data_dir,
            process=self._spawn_worker(name, environ),
        )

    def _spawn_worker(self, name: str, environ: dict[str, str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "streakline", "stream"]
        return spawn(command, log=self.logs / f"{name}.log", environ=environ)

    def _stop(self) -> None:
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            stop(worker.process)
        self.workers = []
        if self._broker is not None:
            stop(self._broker)
            self._broker = None

    @property
    def _data_root(self) -> Path:
        return self.settings.state_dir.absolute() / "data"


@contextlib.contextmanager
def _only_stack_in(state_dir: Path) -> Iterator[None]:
    """Hold the folder's lock: two stacks in it would delete each other's data. Raises `StackError` for the second."""
    file: IO[str]
    with (state_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"a local stack already runs in {state_dir.absolute()}: stop it, or choose another --state-dir"
            ) from None
        yield
