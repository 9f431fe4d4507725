"""A training written by hand, and what a run has published: what the tests of the integrations compare."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from confluent_kafka import Producer
from msgspec import Struct
from torch import nn

from producers.codec import decode, encode
from producers.events import Signal, StepEvent, TrainerEvent
from producers.gradients.norms import GradientNorms, Measured
from producers.kafka import KafkaSettings, producer_config
from producers.publisher import StepPublisher
from producers.reader import read_topic
from producers.spool.settings import SpoolSettings
from producers.topics import TopicSettings, topic_names

T = TypeVar("T")

WIDTH = 4
MAX_NORM = 1e-3
"""far below any norm there is: what is measured after the clip is seen to be wrong"""
LEARNING_RATE = 0.1


class Step(Struct, frozen=True):
    """One optimizer step as it should be published."""

    loss: float
    learning_rate: float
    measured: Measured


class Streakline:
    """Where a test's runs are published to, and what has arrived there."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> None:
        self._kafka = kafka
        self._topics = topics
        self._spool = SpoolSettings(spool_dir=str(folder))

    def run(self, **arguments: Any) -> StepPublisher:
        """A run of its own."""
        return StepPublisher(
            **{"run_id": "sft/7"} | arguments, kafka=self._kafka, topics=self._topics, spool=self._spool
        )

    def events(self) -> list[TrainerEvent]:
        """All that is on the steps topic."""
        topic = topic_names(self._topics).steps
        return [decode(message.value() or b"") for message in read_topic(self._kafka, topic)]

    def steps(self) -> list[StepEvent]:
        """The steps among them."""
        return [event for event in self.events() if isinstance(event, StepEvent)]

    def ask_to_stop(self, run: StepPublisher) -> None:
        """What the stream application does for a plateau; comes back when the run has heard it."""
        ask_to_stop(self._kafka, self._topics, run)


def ask_to_stop(kafka: KafkaSettings, topics: TopicSettings, run: StepPublisher) -> None:
    """Send the signal, and wait until `run` has heard it."""
    signal = Signal(
        signal_id=f"{run.run_id}/{run.attempt}/3/loss_plateau",
        run_id=run.run_id,
        project="default",
        attempt=run.attempt,
        step=3,
        ts=time.time(),
        type="loss_plateau",
        severity="info",
        metric="loss",
        value=0.0,
        threshold=1.0,
        layers=None,
        epoch=None,
        message="the loss no longer moves",
        action="stop",
    )
    producer = Producer(producer_config(kafka))
    producer.produce(topic_names(topics).signals, encode(signal), key=run.run_id.encode())
    assert producer.flush(30) == 0
    deadline = time.monotonic() + 60
    while run.should_stop is None:
        assert time.monotonic() < deadline, "the run was not told to stop"
        time.sleep(0.01)


def small_model() -> nn.Sequential:
    """The same each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(WIDTH, 8), nn.Tanh(), nn.Linear(8, 1))


def micro_batches(count: int, rows: int = 2) -> list[torch.Tensor]:
    """The same each time."""
    torch.manual_seed(1)
    return list(torch.randn(count, rows, WIDTH))


def grouped(batches: Sequence[T], size: int) -> list[Sequence[T]]:
    """Those of each optimizer step; the last may have fewer."""
    return [batches[start : start + size] for start in range(0, len(batches), size)]


def by_hand(
    model: nn.Module,
    groups: Sequence[Sequence[T]],
    share: Callable[[T, Sequence[T]], torch.Tensor],
    *,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    max_norm: float = MAX_NORM,
) -> list[Step]:
    """One step a group, whose loss is the sum of `share` (micro-batch, group) over it."""
    norms, steps = GradientNorms(model), []
    for group in groups:
        optimizer.zero_grad()
        losses = [share(micro, group) for micro in group]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        loss = sum(each.item() for each in losses)
        steps.append(Step(loss, optimizer.param_groups[0]["lr"], norms.measure()))
        nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        scheduler.step()
    return steps


def assert_published(events: Sequence[StepEvent], expected: Sequence[Step], *, prefix: str = "") -> None:
    """`prefix` is what the names of layers have in front of those of `expected`."""
    assert len(events) == len(expected)
    for event, step in zip(events, expected, strict=True):
        assert event.loss == pytest.approx(step.loss, rel=1e-5)
        assert event.learning_rate == pytest.approx(step.learning_rate, rel=1e-9)
        assert event.max_grad == pytest.approx(step.measured.max_grad, rel=1e-4)
        norms = {prefix + layer: norm for layer, norm in step.measured.grad_norms.items()}
        assert event.grad_norms == pytest.approx(norms, rel=1e-4)
        assert step.measured.max_grad is not None
        assert step.measured.max_grad > 10 * MAX_NORM
