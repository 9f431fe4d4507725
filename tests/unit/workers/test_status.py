"""A diff worker says that it is stuck, or away from the broker, where it is."""

from types import SimpleNamespace
from typing import Any

from producers.kafka import KafkaSettings
from streakline.processes import free_port
from workers.status import STUCK_SECONDS, WorkerStatus


def status(silent_seconds: float, *, is_assigned: bool) -> WorkerStatus:
    """Of a worker whose broker is away."""
    worker: Any = SimpleNamespace(silent_seconds=silent_seconds, is_assigned=is_assigned)
    return WorkerStatus(worker, KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}"), "runs")


def test_a_loop_that_stands_still_is_stuck() -> None:
    (check,) = status(STUCK_SECONDS + 1, is_assigned=True).health()
    assert (check.passes, check.detail) == (False, "is stuck: it has not asked for records for 91 s")
    assert status(STUCK_SECONDS - 1, is_assigned=True).health()[0].passes


def test_every_reason_not_to_be_ready_is_told() -> None:
    failing = {check.name: check.detail for check in status(0.0, is_assigned=False).readiness() if not check.passes}
    assert failing.keys() == {"broker", "partitions"}
    assert failing["broker"].startswith("does not answer: ")
    assert failing["partitions"] == "the group is being rebalanced"
