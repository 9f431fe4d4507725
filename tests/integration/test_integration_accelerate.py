"""A loop of Accelerate's publishes what it does, against the same training by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.utils.data import DataLoader

from producers.events import RunCompleted, RunFailed
from producers.integrations.accelerate import StreaklineTracker
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from tests.trainings import (
    LEARNING_RATE,
    MAX_NORM,
    Step,
    Streakline,
    assert_published,
    by_hand,
    grouped,
    micro_batches,
    small_model,
)


@pytest.fixture
def streakline(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> Iterator[Streakline]:
    yield Streakline(kafka, topics, tmp_path)
    # Accelerate's settings outlive an Accelerator.
    AcceleratorState._reset_state(reset_partial_state=True)


def trained_by_hand(batches: list[torch.Tensor], accumulate: int) -> list[Step]:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    return by_hand(
        model,
        grouped(batches, accumulate),
        lambda batch, _: model(batch).square().mean() / accumulate,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5),
    )


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("logs", [False, True], ids=["run.step", "accelerator.log"])
def test_a_loop(streakline: Streakline, accumulate: int, logs: bool) -> None:
    batches = micro_batches(4 * accumulate)
    with streakline.run() as run:
        accelerator = Accelerator(
            cpu=True, gradient_accumulation_steps=accumulate, log_with=StreaklineTracker(run) if logs else None
        )
        accelerator.init_trackers("assistant", config={"seed": 0})
        model = small_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        data: Any = DataLoader(torch.cat(batches), batch_size=2)  # type: ignore[arg-type]
        model, optimizer, data, scheduler = accelerator.prepare(model, optimizer, data, scheduler)
        run.watch(model, scaler=accelerator.scaler)
        step, total = 0, torch.tensor(0.0)
        for batch in data:
            with accelerator.accumulate(model):
                loss = model(batch).square().mean()
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), MAX_NORM)
                rate = scheduler.get_last_lr()[0]
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            total += loss.detach() / accumulate
            if accelerator.sync_gradients:
                step += 1
                if logs:
                    accelerator.log({"train_loss": total, "lr": rate, "epoch": 0, "accuracy": 0.5}, step=step)
                    accelerator.log({"eval_loss": 0.25}, step=step)
                else:
                    run.step(step, total, learning_rate=rate, epoch=0)
                total = torch.tensor(0.0)
        accelerator.end_training()
        run.complete(checkpoint="/runs/sft-7")

    steps = streakline.steps()
    assert_published(steps, trained_by_hand(batches, accumulate))
    assert [(event.step, event.epoch) for event in steps] == [(1, 0), (2, 0), (3, 0), (4, 0)]
    completed = streakline.events()[-1]
    assert isinstance(completed, RunCompleted)
    assert completed.checkpoint == "/runs/sft-7"


def test_a_loss_without_its_step_is_said_once(streakline: Streakline, caplog: pytest.LogCaptureFixture) -> None:
    with streakline.run() as run:
        accelerator = Accelerator(cpu=True, log_with=StreaklineTracker(run))
        accelerator.init_trackers("assistant")
        for _ in range(3):
            accelerator.log({"loss": 1.0})
        assert accelerator.get_tracker("streakline", unwrap=True) is run
    assert streakline.steps() == []
    said = [record.getMessage() for record in caplog.records if record.name == "streakline"]
    assert said == ["a loss that is logged without its step is not published: accelerator.log(…, step=…)"]


def test_the_end_of_the_trackers_after_a_failure_does_not_complete_the_run(streakline: Streakline) -> None:
    def train() -> None:
        with streakline.run() as run:
            accelerator = Accelerator(cpu=True, log_with=StreaklineTracker(run))
            accelerator.init_trackers("assistant")
            try:
                raise MemoryError("the device is full")
            finally:
                accelerator.end_training()

    with pytest.raises(MemoryError):
        train()
    assert isinstance(streakline.events()[-1], RunFailed)
