"""What workers say of themselves while the network fails, and after, is the truth."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from streakline.processes import free_port, spawn, stop
from tests.commands import COMMAND, settings_environ
from tests.diff_service import ask, running_diff_service
from tests.faulty_broker import FaultyBroker
from tests.worker import running_worker, wait_until

NOTICED_WITHIN_SECONDS = 60.0
"""far more than what is documented, 15 s and the 5 s between two questions: this machine is busy"""

Running = Callable[[KafkaSettings, TopicSettings, Path], AbstractContextManager[str]]
"""gives the worker's address"""


@contextmanager
def stream_worker(kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> Iterator[str]:
    with running_worker(kafka, topics, folder / "data") as worker:
        yield f"http://127.0.0.1:{worker.metrics_port}"


@contextmanager
def diff_worker(kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> Iterator[str]:
    environ = {**settings_environ(kafka, topics), "STREAKLINE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    with running_diff_service(folder, folder, environ) as service:
        yield f"http://127.0.0.1:{service.port}"


@contextmanager
def archiver(kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> Iterator[str]:
    port = free_port()
    environ = {
        **settings_environ(kafka, topics),
        "STREAKLINE_METRICS_PORT": str(port),
        "STREAKLINE_LAKE": str(folder / "lake"),
        "STREAKLINE_SESSION_TIMEOUT_SECONDS": "4",
    }
    process = spawn([*COMMAND, "archive"], log=folder / "archiver.log", environ=environ)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process, timeout_seconds=30)


def chosen() -> list[tuple[Running, Callable[[FaultyBroker], None]]]:
    workers: list[Running] = [stream_worker, diff_worker, archiver]
    faults: list[Callable[[FaultyBroker], None]] = [FaultyBroker.pause, FaultyBroker.refuse]
    cells = [(worker, fault) for worker in workers for fault in faults]
    return cells if os.environ.get("STREAKLINE_FAULTS") == "all" else [cells[0], cells[5]]


@pytest.mark.parametrize(("running", "fault"), chosen())
def test_a_worker_is_not_ready_while_the_broker_cannot_be_reached_and_is_again_when_it_can(
    front: FaultyBroker,
    kafka: KafkaSettings,
    topics: TopicSettings,
    tmp_path: Path,
    running: Running,
    fault: Callable[[FaultyBroker], None],
) -> None:
    with running(kafka, topics, tmp_path) as url:
        wait_until(lambda: ask(f"{url}/readyz") == (200, {}), timeout_seconds=120)
        fault(front)
        wait_until(lambda: "broker" in ask(f"{url}/readyz")[1], timeout_seconds=NOTICED_WITHIN_SECONDS)
        # It need not be killed for that.
        assert ask(f"{url}/healthz") == (200, {})
        front.forward()
        wait_until(lambda: ask(f"{url}/readyz") == (200, {}), timeout_seconds=120)
