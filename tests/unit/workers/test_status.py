"""A diff worker says that it is stuck, or away from the broker, where it is."""

from types import SimpleNamespace
from typing import Any

from producers.kafka import KafkaSettings
from producers.stalls import StallWatch
from streakline.processes import free_port
from workers.status import WorkerStatus


def status(*, is_assigned: bool, **beside: StallWatch) -> WorkerStatus:
    """Of a worker whose broker is away."""
    worker: Any = SimpleNamespace(stalls=StallWatch("its loop"), is_assigned=is_assigned)
    return WorkerStatus(worker, KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}"), "runs", beside)


def test_each_loop_that_stands_still_fails() -> None:
    other = StallWatch("another", stall_seconds=1)
    checks = status(is_assigned=True, regressions=other)
    assert [(check.name, check.passes) for check in checks.health()] == [("loop", True), ("regressions", True)]
    other.look()
    assert [(check.name, check.passes) for check in checks.health()] == [("loop", True), ("regressions", False)]
    assert {check.name for check in checks.readiness() if not check.passes} == {"broker", "regressions"}


def test_every_reason_not_to_be_ready_is_told() -> None:
    failing = {check.name: check.detail for check in status(is_assigned=False).readiness() if not check.passes}
    assert failing.keys() == {"broker", "partitions"}
    assert failing["broker"].startswith("does not answer: ")
    assert failing["partitions"] == "the group is being rebalanced"
