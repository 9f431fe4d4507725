"""The local stack: broker, workers and alerts on this machine, started, watched and stopped together."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Annotated, Literal

from msgspec import Meta, Struct

from producers.kafka import KafkaSettings
from producers.settings import to_environ
from producers.topics import TopicSettings, ensure_topics
from streakline.alerting import Alerting, AlertingError, AlertingSettings
from streakline.archiving import Archiving, ArchivingSettings
from streakline.broker import start_broker
from streakline.diffing import Diffing, DiffingSettings, lake_of
from streakline.pages import Notification
from streakline.processes import free_port, stop, uninterrupted
from streakline.services import Program, Service, stop_all
from streakline.stack_dashboard import DASHBOARD_URL, StackDashboard, StackDashboardSettings, stack_dashboard
from streakline.stack_redis import LocalRedis, StackRedisSettings, local_redis, start_local_redis

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
    redis: StackRedisSettings | None = None
    """None: no Redis, and no live runs in it"""
    alerting: AlertingSettings | None = None
    """None: no Prometheus, no Alertmanager, no pages"""
    diffing: DiffingSettings | None = None
    """None: no diff workers"""
    archiving: ArchivingSettings | None = None
    """None: no archiver"""
    dashboard: StackDashboardSettings | None = None
    """None: no dashboard"""


class Worker(Service):
    """One worker of the stack, of the kind that `command` runs."""

    def __init__(
        self,
        command: Literal["stream", "diff-worker", "archive"],
        name: str,
        port: int,
        environ: Mapping[str, str],
        logs: Path,
    ) -> None:
        program = [sys.executable, "-m", "streakline", command]
        self.address = f"{_LOOPBACK}:{port}"
        self.metrics_url = f"http://{self.address}/metrics"
        own = {**environ, "STREAKLINE_METRICS_PORT": str(port)}
        super().__init__(Program(name, program, own, f"http://{self.address}/healthz"), logs)


class Stack:
    """The running stack. Leaving the ``with`` block stops everything it started.

    Raises `StackError`, `BrokerError`, `RedisServerError` or `TopicsError` with a sentence where it cannot start; where
    Prometheus, Alertmanager or what diffs or the archive need is not installed it says so and does without.
    """

    def __init__(
        self,
        settings: StackSettings,
        kafka: KafkaSettings,
        topics: TopicSettings,
        *,
        say: Callable[[str], None] = lambda _: None,
        on_notification: Callable[[Notification], None] = lambda _: None,
    ) -> None:
        """`on_notification` is called by `check` and `watch`, in the caller's thread."""
        self.settings = settings
        self.kafka = kafka
        self.topics = topics
        self.workers: list[Worker] = []
        self.diff_workers: list[Worker] = []
        self.archivers: list[Worker] = []
        """one, or none"""
        self.redis: LocalRedis | None = None
        """None where another is used, or none"""
        self.diffing: Diffing | None = None
        self.archiving: Archiving | None = None
        self.dashboard: StackDashboard | None = None
        self.alerting: Alerting | None = None
        self.logs = settings.state_dir.absolute() / "logs"
        self._say = say
        self._on_notification = on_notification
        self._broker: subprocess.Popen[bytes] | None = None
        self._services: list[Service] = []
        self._restarts: deque[float] = deque(maxlen=MAX_RESTARTS)
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> "Stack":
        self.logs.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as undo:
            undo.enter_context(_only_stack_in(self.settings.state_dir))
            self.alerting = self._open_alerting(undo)
            if self.settings.redis is not None:
                self.redis = local_redis(self.settings.redis, say=self._say)
            state_dir = self.settings.state_dir.absolute()
            if self.settings.diffing is not None:
                self.diffing = Diffing(self.settings.diffing, state_dir, self.redis_url, say=self._say)
            if self.settings.archiving is not None:
                self.archiving = Archiving(self.settings.archiving, state_dir, say=self._say)
            if self.settings.dashboard is not None:
                self.dashboard = stack_dashboard(self.settings.dashboard, self._sources(), say=self._say)
            undo.callback(self._stop)
            self._start()
            self._exits = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @property
    def lake(self) -> str | None:
        """Where diff workers and the archiver write; None where there are none."""
        if self.archivers and self.archiving is not None:
            return self.archiving.lake
        return self.diffing.lake if self.diff_workers and self.diffing is not None else None

    @property
    def redis_url(self) -> str | None:
        """Of the Redis that all of it uses; None where there is none."""
        if self.redis is not None:
            return self.redis.url
        return None if self.settings.redis is None else self.settings.redis.url

    def watch(self, seconds: float) -> None:
        """`check` for `seconds`. Raises `StackError` when something keeps dying."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, WATCH_INTERVAL_SECONDS))

    @uninterrupted()
    def check(self) -> None:
        """Restart what has died or hangs, and tell of notifications. Raises `StackError` when something keeps dying."""
        if self._broker is not None and self._broker.poll() is not None:
            self._count_restart("the broker")
            self._say("the broker died, and what it held with it: starting everything anew")
            self._stop()
            self._start()
        for service in self._services:
            trouble = service.trouble
            if trouble is not None:
                self._count_restart(service.name)
                self._say(f"{service.name} {trouble}: starting it again")
                service.restart()
        if self.alerting is not None:
            for notification in self.alerting.receiver.take():
                self._on_notification(notification)

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
            # The broker starts empty: stored states of a topic that is gone would ignore the new one's events, and
            # what is known of runs that are gone would page, or keep those of the same name from paging.
            shutil.rmtree(self._data_root, ignore_errors=True)
        ensure_topics(self.kafka, self.topics)
        if self.redis is not None:
            self._services.append(start_local_redis(self.redis, self.logs))
        for index in range(self.settings.workers):
            self.workers.append(self._start_worker(index))
            self._services.append(self.workers[-1])
        if self.diffing is not None:
            self._start_diffing(self.diffing)
        if self.archiving is not None and self.archiving.is_possible:
            self._start_archiver(self.archiving)
        if self.dashboard is not None:
            self._services.append(Service(self.dashboard.program, self.logs))
        if self.alerting is not None:
            kinds = {"stream": self.workers, "diff": self.diff_workers, "archive": self.archivers}
            targets = {kind: [each.address for each in workers] for kind, workers in kinds.items()}
            dashboard_url = DASHBOARD_URL if self.dashboard is None else self.dashboard.url
            state_dir = self.settings.state_dir.absolute()
            for program in self.alerting.configure(state_dir, self._data_root, targets, dashboard_url):
                self._services.append(Service(program, self.logs))

    def _open_alerting(self, undo: contextlib.ExitStack) -> Alerting | None:
        if self.settings.alerting is None:
            return None
        try:
            return undo.enter_context(contextlib.closing(Alerting(self.settings.alerting, say=self._say)))
        except AlertingError as error:
            self._say(f"alerts are off: {error}")
            return None

    def _start_worker(self, index: int) -> Worker:
        name = f"stream-{index + 1}"
        port = self.settings.metrics_port + index if self.settings.metrics_port else free_port()
        environ = {
            **to_environ(self.kafka),
            **to_environ(self.topics),
            "STREAKLINE_DATA_DIR": str(self._data_root / name),
            # Without one of the stack they would look for one where its port is by default.
            **({"STREAKLINE_LIVE": "false"} if self.redis_url is None else {"STREAKLINE_REDIS_URL": self.redis_url}),
        }
        return Worker("stream", name, port, environ, self.logs)

    def _start_diffing(self, diffing: Diffing) -> None:
        environ = {**to_environ(self.kafka), **to_environ(self.topics), **diffing.worker_environ()}
        for index in range(diffing.workers):
            port = diffing.worker_port(index)
            self.diff_workers.append(Worker("diff-worker", f"diff-{index + 1}", port, environ, self.logs))
            self._services.append(self.diff_workers[-1])

    def _start_archiver(self, archiving: Archiving) -> None:
        environ = {**to_environ(self.kafka), **to_environ(self.topics), **archiving.environ()}
        self.archivers.append(Worker("archive", "archive", archiving.port(), environ, self.logs))
        self._services.append(self.archivers[-1])

    def _sources(self) -> dict[str, str]:
        """What the dashboard reads."""
        writer = self.archiving or self.diffing
        lake = lake_of(os.environ, self.settings.state_dir.absolute()) if writer is None else writer.lake
        environ = {**to_environ(self.topics), "STREAKLINE_LAKE": lake}
        return environ if self.redis_url is None else {**environ, "STREAKLINE_REDIS_URL": self.redis_url}

    def _stop(self) -> None:
        stop_all(self._services)
        self._services, self.workers, self.diff_workers, self.archivers = [], [], [], []
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
