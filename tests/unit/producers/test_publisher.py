"""Without a broker: the publisher never raises into the loop, closes in time, and keeps what it cannot send."""

import logging
import math
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from producers.codec import MAX_EVENT_BYTES, encode
from producers.events import MAX_INTEGER, StepEvent
from producers.gradients.norms import Measured
from producers.kafka import KafkaSettings
from producers.outbox import QUEUE_NUMBERS
from producers.publisher import StepPublisher
from producers.spool.backlog import MEMORY_BYTES, RESERVED_BYTES
from producers.spool.folder import Folder, Owner, folders
from producers.spool.settings import SpoolSettings
from producers.tally import PublisherStats
from producers.topics import TopicSettings
from streakline.processes import free_port
from tests.worker import wait_until


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
    defaults: dict[str, Any] = {"run_id": "run", "topics": TopicSettings(), "close_timeout_seconds": 0.5}
    return StepPublisher(kafka=kafka, **defaults | arguments)


def counts(run: StepPublisher) -> tuple[int, int]:
    """(published, dropped), once the sender has taken everything up."""
    run.close()
    return run.stats.published, run.stats.dropped


def said(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records if record.name == "streakline")


def test_closing_keeps_to_its_timeout_and_what_did_not_arrive_waits(
    away: KafkaSettings, caplog: pytest.LogCaptureFixture, spool_dir: Path
) -> None:
    run = publisher(away)
    for step in range(100):
        run.step(step, 1.0)
    began = time.monotonic()
    assert not run.close(1.0)
    assert time.monotonic() - began <= 1.1
    assert run.stats == PublisherStats(published=102, acknowledged=0, failed=0, dropped=0)
    assert run.stats.waiting == 102
    (folder,) = folders(spool_dir)
    assert said(caplog, f"102 of its records wait in {folder} for the broker at {away.kafka_bootstrap}") == 1
    began = time.monotonic()
    assert not run.close(60.0), "closing twice waits once"
    assert time.monotonic() - began < 1.0


def test_the_block_is_left_in_time_and_with_its_exception(away: KafkaSettings) -> None:
    run = publisher(away)

    def train() -> None:
        with run:
            run.step(0, 1.0)
            raise RuntimeError("of the loop's own")

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="of the loop's own"):
        train()
    assert time.monotonic() - began <= 0.6
    assert run.stats.waiting == 5, "a step, and the run's start and failure on both topics"


def test_without_a_disk_memory_is_bounded(nobody: KafkaSettings, caplog: pytest.LogCaptureFixture) -> None:
    run = publisher(nobody, spool=SpoolSettings(spool_max_bytes=0))
    norms: dict[str, float | None] = {f"layers.{index}.{'x' * 400}": 1.0 for index in range(1000)}
    for step in range(200):
        run.step(step, 1.0, grad_norms=norms)
    run.complete()
    wait_until(lambda: run.stats.published + run.stats.dropped == 204)
    published, dropped = counts(run)
    size = len(encode(StepEvent(run_id="run", step=0, ts=time.time(), loss=1.0, grad_norms=norms)))
    assert MEMORY_BYTES - RESERVED_BYTES - size < (published - 4) * size < MEMORY_BYTES
    assert published + dropped == 204
    assert run.stats.failed == published, "memory does not outlive the process"
    assert said(caplog, "204 of its records are lost") == 1


def test_a_spool_that_is_full_is_said_and_memory_goes_on(
    nobody: KafkaSettings, caplog: pytest.LogCaptureFixture, spool_dir: Path
) -> None:
    run = publisher(nobody, spool=SpoolSettings(spool_max_bytes=10_000))
    for step in range(1_000):
        run.step(step, 1.0)
    published, dropped = counts(run)
    assert (published, dropped) == (1_002, 0)
    assert 0 < run.stats.waiting < 200
    assert run.stats.failed == 1_002 - run.stats.waiting
    assert sum(file.stat().st_size for file in spool_dir.glob("*/*.events")) <= 10_000
    assert said(caplog, "nothing more can be spooled") == 1


@pytest.mark.parametrize("where", ["/proc/no-such-place", "/dev/null/spool", "no\0path"])
def test_a_place_where_no_spool_can_be_is_said(
    nobody: KafkaSettings, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    run = publisher(nobody, spool=SpoolSettings(spool_dir=where))
    run.step(0, 1.0)
    assert counts(run) == (3, 0)
    assert run.stats.failed == 3
    assert said(caplog, "no spool can be made") == 1
    assert said(caplog, "set STREAKLINE_SPOOL_DIR to a folder of yours") == 1


def test_what_others_left_may_be_out_of_reach(
    nobody: KafkaSettings, caplog: pytest.LogCaptureFixture, spool_dir: Path
) -> None:
    (spool_dir / ".heir").mkdir(parents=True)
    run = publisher(nobody)
    run.step(0, 1.0)
    assert counts(run) == (3, 0)
    assert run.stats.waiting == 3, "its own are kept as ever"
    assert said(caplog, "what others left cannot be delivered") == 1


def test_a_disk_that_hangs_holds_nothing_up(
    nobody: KafkaSettings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_back, create = threading.Event(), Folder.create

    def hang(root: Path, owner: Owner) -> Folder:
        is_back.wait()
        return create(root, owner)

    monkeypatch.setattr(Folder, "create", hang)
    before = set(threading.enumerate())
    run = publisher(nobody)
    norms = dict.fromkeys(map(str, range(10_000)), 1.0)
    for step in range(100):
        run.step(step, 1.0, grad_norms=norms)
    assert run.stats.dropped == 100 - QUEUE_NUMBERS // (16 + 10_000)
    assert said(caplog, "events come faster than they can be kept") == 1
    began = time.monotonic()
    assert not run.close(0.3)
    assert time.monotonic() - began <= 0.4
    assert said(caplog, "it took too long to keep its last events") == 1
    is_back.set()
    # Its thread ends when all is done; those of other tests may end meanwhile.
    while set(threading.enumerate()) - before:
        time.sleep(0.01)
    assert run.stats.waiting == run.stats.published > 0, "what was in the queue is on disk after all"


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
    assert counts(run) == (2, 3)
    assert said(caplog, "a StepEvent is dropped (said once)") == 1


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
    assert counts(run) == (4, 1)


def test_a_step_over_the_limit_is_dropped_and_said_once(
    nobody: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    run = publisher(nobody)
    for step in range(3):
        run.step(step, 1.0, grad_norms={f"{index:05d}" + "x" * 80: 1.0 + step for index in range(12_000 + step)})
    assert counts(run) == (2, 3)
    assert said(caplog, "too_large") == 1
    assert said(caplog, f"at most {MAX_EVENT_BYTES:,}") == 1


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
    assert counts(run) == (3, 0)


def test_after_its_end_a_run_takes_no_more(nobody: KafkaSettings, caplog: pytest.LogCaptureFixture) -> None:
    run = publisher(nobody)
    run.complete()
    run.complete()
    run.fail("late")
    run.step(0, 1.0)
    assert counts(run) == (4, 3)
    assert said(caplog, "the run has ended") == 1
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
    assert counts(run) == (4, 2), "leaving the block completes it"


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
    with pytest.raises(ValueError, match=r"STREAKLINE_KAFKA_SSL_CA: the file cannot be used"):
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
