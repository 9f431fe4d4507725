"""Without a broker: the publisher is bounded, never raises into the loop, and closes in time."""

import logging
import math
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from producers.codec import MAX_EVENT_BYTES
from producers.events import MAX_INTEGER
from producers.gradients import Measured
from producers.kafka import KafkaSettings
from producers.outbox import QUEUE_KBYTES, QUEUE_RECORDS
from producers.publisher import StepPublisher
from producers.topics import TopicSettings
from streakline.processes import free_port


@pytest.fixture(params=["nobody listens", "accepts and never answers"])
def away(request: pytest.FixtureRequest) -> Iterator[KafkaSettings]:
    """A broker that is of no use."""
    if request.param == "nobody listens":
        yield KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}")
        return
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield KafkaSettings(kafka_bootstrap=f"127.0.0.1:{listener.getsockname()[1]}")


@pytest.fixture
def nobody() -> KafkaSettings:
    return KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}")


def publisher(kafka: KafkaSettings, **arguments: Any) -> StepPublisher:
    # The time to close is no part of most tests.
    defaults: dict[str, Any] = {"run_id": "run", "topics": TopicSettings(), "close_timeout_seconds": 0.05}
    return StepPublisher(kafka=kafka, **defaults | arguments)


def said(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records if record.name == "streakline")


def test_closing_keeps_to_its_timeout(away: KafkaSettings, caplog: pytest.LogCaptureFixture) -> None:
    run = publisher(away)
    for step in range(100):
        run.step(step, 1.0)
    began = time.monotonic()
    assert not run.close(1.0)
    assert 0.9 < time.monotonic() - began < 3.0
    assert (run.stats.published, run.stats.acknowledged, run.stats.failed) == (102, 0, 102)
    assert said(caplog, "102 of its records are lost") == 1
    began = time.monotonic()
    assert not run.close(60.0), "closing twice waits once"
    assert time.monotonic() - began < 1.0


def test_the_block_is_left_in_time_and_with_its_exception(away: KafkaSettings) -> None:
    run = publisher(away, close_timeout_seconds=0.5)

    def train() -> None:
        with run:
            run.step(0, 1.0)
            raise RuntimeError("of the loop's own")

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="of the loop's own"):
        train()
    assert time.monotonic() - began < 3.0
    assert run.stats.failed == 5, "a step, and the run's start and failure on both topics"


def test_the_queue_is_bounded_in_records(away: KafkaSettings, caplog: pytest.LogCaptureFixture) -> None:
    run = publisher(away)
    for step in range(QUEUE_RECORDS + 1000):
        run.step(step, 1.0)
    assert (run.stats.published, run.stats.dropped) == (QUEUE_RECORDS, 1002)
    assert 1 <= said(caplog, "training goes on") <= 2, "one line a minute"
    run.close(0.0)


def test_the_queue_is_bounded_in_bytes(nobody: KafkaSettings) -> None:
    run = publisher(nobody)
    norms = {f"layers.{index}.{'x' * 400}": 1.0 for index in range(1000)}
    for step in range(200):
        run.step(step, 1.0, grad_norms=norms)
    assert 0 < run.stats.published < QUEUE_KBYTES * 1024 / 400_000
    assert run.stats.published + run.stats.dropped == 202
    run.close(0.0)


@pytest.mark.parametrize(
    ("step", "loss", "rest"),
    [
        (-1, 1.0, {}),
        (MAX_INTEGER + 1, 1.0, {}),
        (1.5, 1.0, {}),
        ("1", 1.0, {}),
        (None, 1.0, {}),
        (0, None, {}),
        (0, "high", {}),
        (0, torch.ones(2), {}),
        (0, 10**400, {}),
        (0, 1.0, {"learning_rate": [1e-3]}),
        (0, 1.0, {"max_grad": object()}),
        (0, 1.0, {"grad_norms": [1.0]}),
        (0, 1.0, {"grad_norms": {"layers.0": "small"}}),
        (0, 1.0, {"grad_norms": {"x" * 513: 1.0}}),
        (0, 1.0, {"grad_norms": {"\udcff": 1.0}}),
        (0, 1.0, {"dead_layers": [3]}),
        (0, 1.0, {"dead_layers": 3}),
        (0, 1.0, {"gradients": "measured"}),
    ],
)
def test_what_is_no_step_is_counted_and_said_once(
    nobody: KafkaSettings, caplog: pytest.LogCaptureFixture, step: Any, loss: Any, rest: dict[str, Any]
) -> None:
    run = publisher(nobody)
    for _ in range(3):
        run.step(step, loss, **rest)
    assert (run.stats.published, run.stats.dropped) == (2, 3)
    assert said(caplog, "a StepEvent is dropped (said once)") == 1
    run.close(0.0)


class NoNumber:
    def __float__(self) -> float:
        raise UnspeakableError


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def test_an_exception_that_cannot_say_itself_stays_inside(nobody: KafkaSettings) -> None:
    run = publisher(nobody)
    run.step(0, NoNumber())
    run.fail(UnspeakableError())
    assert (run.stats.published, run.stats.dropped) == (4, 1)
    run.close(0.0)


def test_a_step_over_the_limit_is_dropped_and_said_once(
    nobody: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    run = publisher(nobody)
    for step in range(3):
        run.step(step, 1.0, grad_norms={f"{index:05d}" + "x" * 80: 1.0 + step for index in range(12_000 + step)})
    assert run.stats.dropped == 3
    assert said(caplog, "too_large") == 1
    assert said(caplog, f"at most {MAX_EVENT_BYTES:,}") == 1
    run.close(0.0)


@pytest.mark.parametrize(
    ("loss", "rest"),
    [
        (torch.tensor(2.0, requires_grad=True) * 1, {}),
        (torch.tensor(2.0, dtype=torch.bfloat16), {"max_grad": torch.tensor(1.0)}),
        (torch.tensor([2.0]), {"grad_norms": {"layers.0": torch.tensor(1.0), "layers.1": None}}),
        (2, {"learning_rate": 1, "epoch": 0}),
        (math.nan, {"gradients": Measured(math.inf, {"layers.0": math.nan})}),
    ],
)
def test_what_has_a_number_is_taken(nobody: KafkaSettings, loss: Any, rest: dict[str, Any]) -> None:
    run = publisher(nobody)
    run.step(torch.tensor(3), loss, **rest)  # a tensor has __index__
    assert (run.stats.published, run.stats.dropped) == (3, 0)
    run.close(0.0)


def test_after_its_end_a_run_takes_no_more(nobody: KafkaSettings, caplog: pytest.LogCaptureFixture) -> None:
    run = publisher(nobody)
    run.complete()
    run.complete()
    run.fail("late")
    run.step(0, 1.0)
    assert (run.stats.published, run.stats.dropped) == (4, 3)
    assert said(caplog, "the run has ended") == 1
    run.close(0.0)
    run.step(1, 1.0)
    assert run.stats.dropped == 4


def test_after_closing_nothing_is_taken(nobody: KafkaSettings, caplog: pytest.LogCaptureFixture) -> None:
    run = publisher(nobody)
    run.close(0.0)
    run.step(0, 1.0)
    run.step(1, 1.0)
    assert run.stats.dropped == 2
    assert said(caplog, "the publisher is closed") == 1


def test_an_end_that_cannot_be_published_leaves_the_run_open(nobody: KafkaSettings) -> None:
    with publisher(nobody) as run:
        run.complete(checkpoint="x" * 5000)
        run.complete(saes=[3])  # type: ignore[list-item]
        assert run.stats.dropped == 2
    assert run.stats.published == 4, "leaving the block completes it"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"run_id": "my run"}, "cannot take its run_id: 'my run' should be 1-128 characters of"),
        ({"run_id": ""}, "cannot take its run_id"),
        ({"run_id": None}, "cannot take its run_id"),
        ({"project": "ä"}, "cannot take its project: 'ä' should be 1-128 characters of"),
        ({"early_stop": ["plateau"]}, r"cannot take its early_stop: \['plateau'\] should be a list of non_finite, "),
        ({"early_stop": "loss_plateau"}, "cannot take its early_stop: 'loss_plateau' should be a list of"),
        ({"early_stop": 3}, "cannot take its early_stop"),
        ({"attempt": -1}, "cannot take its attempt: Expected `int` >= 0"),
        ({"base_model": 3}, "cannot take its base_model: Expected `str"),
        ({"config": ["lr"]}, "cannot take its config: Expected `object`"),
        ({"config": {"prompt": "x" * 5000}}, "cannot take its config: Expected `str` of length <= 4096"),
        ({"layer_kinds": {"a": "mlp"}}, "cannot take its layer_kinds"),
        ({"layer_kinds": {f"{i}-" + "x" * 500: "other" for i in range(3000)}}, "too_large"),
    ],
)
def test_what_cannot_be_right_is_refused_before_training(
    nobody: KafkaSettings, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        publisher(nobody, **arguments)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAKLINE_KAFKA_BOOTSTRAP", "")
    monkeypatch.setenv("STREAKLINE_KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("STREAKLINE_KAFKA_SSL_CA", "/no/such/file.pem")
    with pytest.raises(
        ValueError, match=r"the Kafka client refuses its settings \(STREAKLINE_KAFKA_…\): .*ssl.ca.location"
    ):
        StepPublisher(run_id="run")
    monkeypatch.setenv("STREAKLINE_PARTITIONS", "many")
    with pytest.raises(ValueError, match="STREAKLINE_PARTITIONS"):
        StepPublisher(run_id="run")


def test_an_unreachable_broker_is_said_while_training(nobody: KafkaSettings, caplog: pytest.LogCaptureFixture) -> None:
    run = publisher(nobody)
    deadline = time.monotonic() + 10
    step = 0
    while not said(caplog, "training goes on") and time.monotonic() < deadline:
        run.step(step, 1.0)
        step += 1
        time.sleep(0.02)
    assert said(caplog, f"(broker at {nobody.kafka_bootstrap}); training goes on") == 1
    assert caplog.records[-1].levelno == logging.WARNING
    run.close(0.0)
