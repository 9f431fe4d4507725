"""The loop that the documentation shows, and what one adds to it, against the same training by hand."""

from pathlib import Path

import pytest
import torch
from torch import nn

from producers.events import RunCompleted
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from tests.trainings import (
    LEARNING_RATE,
    MAX_NORM,
    Streakline,
    assert_published,
    by_hand,
    grouped,
    micro_batches,
    small_model,
)


@pytest.fixture
def streakline(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> Streakline:
    return Streakline(kafka, topics, tmp_path)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
def test_a_loop_with_accumulation_scaling_and_clipping(
    streakline: Streakline, accumulate: int, dtype: torch.dtype | None
) -> None:
    def loss_of(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            return model(batch).float().square().mean() / accumulate  # type: ignore[no-any-return]

    groups = grouped(micro_batches(4 * accumulate), accumulate)
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, enabled=dtype == torch.float16)
    with streakline.run() as run:
        run.watch(model, scaler=scaler)
        for step, group in enumerate(groups):
            losses = []
            for batch in group:
                loss = loss_of(model, batch)
                scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                losses.append(loss.detach())
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
            scaler.step(optimizer)
            scaler.update()
            run.step(step, torch.stack(losses).sum(), learning_rate=scheduler.get_last_lr()[0])
            scheduler.step()
            optimizer.zero_grad()

    reference = small_model()
    optimizer = torch.optim.SGD(reference.parameters(), lr=LEARNING_RATE)
    expected = by_hand(
        reference,
        groups,
        lambda batch, _: loss_of(reference, batch),
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5),
    )
    assert_published(streakline.steps(), expected)
    assert [event.step for event in streakline.steps()] == [0, 1, 2, 3]
    completed = streakline.events()[-1]
    assert isinstance(completed, RunCompleted)
    assert completed.steps == 4


def test_without_a_clip_the_norms_are_those_that_the_optimizer_sees(streakline: Streakline) -> None:
    """Nothing is unscaled by hand either: GradScaler does it inside its own step."""
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    batches = micro_batches(3)
    with streakline.run() as run:
        run.watch(model, scaler=scaler)
        for step, batch in enumerate(batches):
            loss = model(batch).square().mean()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            run.step(step, loss, learning_rate=LEARNING_RATE)
            optimizer.zero_grad()

    reference = small_model()
    optimizer = torch.optim.SGD(reference.parameters(), lr=LEARNING_RATE)
    expected = by_hand(
        reference,
        grouped(batches, 1),
        lambda batch, _: reference(batch).square().mean(),
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0),
        max_norm=float("inf"),
    )
    assert_published(streakline.steps(), expected)


def test_a_step_that_overflows_is_published_without_norms(streakline: Streakline) -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with streakline.run() as run:
        run.watch(model, scaler=scaler)
        for step, batch in enumerate(micro_batches(3)):
            loss = model(batch).square().mean()
            scaler.scale(loss * (1e38 if step == 1 else 1.0)).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
            scaler.step(optimizer)
            scaler.update()
            run.step(step, loss)
            optimizer.zero_grad()
    assert [event.max_grad is None for event in streakline.steps()] == [False, True, False]


def test_a_loop_ends_when_the_run_is_asked_to_stop(streakline: Streakline) -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    with streakline.run(early_stop=["loss_plateau"]) as run:
        for step, batch in enumerate(micro_batches(20)):
            loss = model(batch).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            run.step(step, loss)
            if step == 4:
                streakline.ask_to_stop(run)
            if run.should_stop:
                break
    assert [event.step for event in streakline.steps()] == [0, 1, 2, 3, 4]
