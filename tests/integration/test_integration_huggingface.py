"""Hugging Face's Trainer publishes what it does, against the same training by hand."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import set_seed

from producers.events import RunCompleted, RunFailed
from producers.integrations.huggingface import StreaklineCallback
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from tests.commands import settings_environ
from tests.launching import Ended, launched, torchrun
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

VOCABULARY = 16
SMOOTHING = 0.1

Rows = dict[str, torch.Tensor]


class Regression(nn.Module):
    """A model of no library: its loss is a mean, of which Trainer takes the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small_model()
        self.asks_for_nan_at = math.inf

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        loss = self.net(x).square().mean()
        # A loss that is no number, and gradients that still are.
        return {"loss": loss + torch.where(x[0, 0] == self.asks_for_nan_at, math.nan, 0.0)}


def llama() -> LlamaForCausalLM:
    set_seed(0)
    return LlamaForCausalLM(  # type: ignore[no-untyped-call]
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
        )
    )


def texts(count: int) -> list[Rows]:
    """Rows of which another number of tokens counts each time."""
    torch.manual_seed(1)
    rows = []
    for index in range(count):
        tokens = torch.randint(0, VOCABULARY, (8,))
        labels = tokens.clone()
        labels[: index % 6] = -100
        rows.append({"input_ids": tokens, "labels": labels})
    return rows


def regression_rows(count: int) -> list[Rows]:
    return [{"x": batch[0]} for batch in micro_batches(count, rows=1)]


def collated(rows: Sequence[Rows]) -> Rows:
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def trainer_of(model: nn.Module, rows: Sequence[Rows], folder: Path, **arguments: Any) -> Trainer:
    functions = {name: arguments.pop(name) for name in ("compute_loss_func",) if name in arguments}
    settings: dict[str, Any] = {
        "per_device_train_batch_size": 2,
        "num_train_epochs": 2,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "linear",
        "optim": "sgd",
        "max_grad_norm": MAX_NORM,
        "train_sampling_strategy": "sequential",
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    return Trainer(
        model,
        TrainingArguments(str(folder / "trainer"), **settings | arguments),
        train_dataset=rows,
        data_collator=collated,
        **functions,
    )


def linear(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)


@pytest.fixture
def streakline(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> Streakline:
    return Streakline(kafka, topics, tmp_path)


def trained_by_hand(
    model: nn.Module,
    rows: Sequence[Rows],
    accumulate: int,
    share: Callable[[nn.Module, Rows, Sequence[Rows]], torch.Tensor],
) -> list[Any]:
    """Two epochs; the last step of each has what is left over."""
    epoch = grouped([collated(rows[start : start + 2]) for start in range(0, len(rows), 2)], accumulate)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    return by_hand(
        model,
        epoch * 2,
        lambda micro, group: share(model, micro, group),
        optimizer=optimizer,
        scheduler=linear(optimizer, 2 * len(epoch)),
    )


def tokens_in(group: Sequence[Rows]) -> torch.Tensor:
    return torch.stack([micro["labels"][:, 1:].ne(-100).sum() for micro in group]).sum()


def token_share(model: nn.Module, micro: Rows, group: Sequence[Rows], smoothing: float = 0.0) -> torch.Tensor:
    """Every token of the optimizer step counts the same, in whichever micro-batch it is."""
    logits = model(input_ids=micro["input_ids"]).logits[:, :-1].flatten(0, 1)
    summed = cross_entropy(logits, micro["labels"][:, 1:].flatten(), reduction="sum", label_smoothing=smoothing)
    return summed / tokens_in(group)


def smoothed_share(model: nn.Module, micro: Rows, group: Sequence[Rows]) -> torch.Tensor:
    return token_share(model, micro, group, SMOOTHING)


def squares(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor) -> torch.Tensor:
    """A loss of the user's own."""
    logits: torch.Tensor = outputs.logits
    return logits.square().sum() / num_items_in_batch


def squares_share(model: nn.Module, micro: Rows, group: Sequence[Rows]) -> torch.Tensor:
    return squares(model(input_ids=micro["input_ids"]), micro["labels"], tokens_in(group))


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(
    ("share", "arguments"),
    [
        (token_share, {}),
        (smoothed_share, {"label_smoothing_factor": SMOOTHING}),
        (squares_share, {"compute_loss_func": squares}),
    ],
    ids=["tokens", "smoothed", "own loss"],
)
def test_a_language_model(
    streakline: Streakline,
    tmp_path: Path,
    accumulate: int,
    share: Callable[[nn.Module, Rows, Sequence[Rows]], torch.Tensor],
    arguments: dict[str, Any],
) -> None:
    rows = texts(8)
    trainer = trainer_of(llama(), rows, tmp_path, gradient_accumulation_steps=accumulate, **arguments)
    with streakline.run() as run:
        trainer.add_callback(StreaklineCallback(run, trainer))
        trainer.train()

    steps = streakline.steps()
    assert_published(steps, trained_by_hand(llama(), rows, accumulate, share))
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [event.step for event in steps] == [entry["step"] for entry in logged]
    assert [event.epoch for event in steps] == pytest.approx([entry["epoch"] for entry in logged], abs=1e-4)
    assert [event.learning_rate for event in steps] == [entry["learning_rate"] for entry in logged]
    assert [event.loss for event in steps] == pytest.approx([float(entry["loss"]) for entry in logged], abs=1e-4)
    completed = streakline.events()[-1]
    assert isinstance(completed, RunCompleted)
    assert completed.steps == trainer.state.global_step
    assert "training_step" not in vars(trainer)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_model_of_ones_own(streakline: Streakline, tmp_path: Path, accumulate: int) -> None:
    rows = regression_rows(8)
    trainer = trainer_of(Regression(), rows, tmp_path, gradient_accumulation_steps=accumulate)
    with streakline.run() as run:
        trainer.add_callback(StreaklineCallback(run, trainer))
        trainer.train()
    expected = trained_by_hand(
        Regression(), rows, accumulate, lambda model, micro, group: model(**micro)["loss"] / len(group)
    )
    assert_published(streakline.steps(), expected)


def test_a_loss_that_is_no_number_arrives_as_such(streakline: Streakline, tmp_path: Path) -> None:
    """Trainer's own log shows the step before it again."""
    model, rows = Regression(), regression_rows(12)
    model.asks_for_nan_at = float(rows[5]["x"][0])
    trainer = trainer_of(
        model, rows, tmp_path, per_device_train_batch_size=1, num_train_epochs=1, gradient_accumulation_steps=2
    )
    with streakline.run() as run:
        trainer.add_callback(StreaklineCallback(run, trainer))
        trainer.train()
    assert [event.step for event in streakline.steps() if math.isnan(event.loss)] == [3]
    assert not any(math.isnan(float(entry["loss"])) for entry in trainer.state.log_history if "loss" in entry)


class AsksAt(TrainerCallback):
    """The stream application, which sends its signal at one step."""

    def __init__(self, step: int, ask: Callable[[], None]) -> None:
        self._step = step
        self._ask = ask

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step + 1 == self._step:
            self._ask()


def test_training_stops_when_the_run_is_asked_to(streakline: Streakline, tmp_path: Path) -> None:
    trainer = trainer_of(Regression(), regression_rows(80), tmp_path)
    with streakline.run(early_stop=["loss_plateau"]) as run:
        trainer.add_callback(StreaklineCallback(run, trainer))
        trainer.add_callback(AsksAt(4, lambda: streakline.ask_to_stop(run)))
        trainer.train()
    assert trainer.state.global_step == 4
    assert [event.step for event in streakline.steps()] == [1, 2, 3, 4]
    assert isinstance(streakline.events()[-1], RunCompleted)


class Fails(Regression):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        if x[0, 0] == self.asks_for_nan_at:
            raise MemoryError("the device is full")
        return super().forward(x)


def test_an_exception_fails_the_run_and_leaves_the_trainer_as_it_was(streakline: Streakline, tmp_path: Path) -> None:
    model, rows = Fails(), regression_rows(12)
    model.asks_for_nan_at = float(rows[6]["x"][0])
    trainer = trainer_of(model, rows, tmp_path, gradient_accumulation_steps=2)
    own = trainer.training_step
    trainer.training_step = own  # type: ignore[method-assign]

    def train() -> None:
        with streakline.run() as run:
            trainer.add_callback(StreaklineCallback(run, trainer))
            trainer.train()

    with pytest.raises(MemoryError):
        train()
    assert trainer.training_step is own
    failed = streakline.events()[-1]
    assert isinstance(failed, RunFailed)
    assert failed.error == "MemoryError: the device is full"
    assert [event.step for event in streakline.steps()] == [1]


def test_a_resumed_training_goes_on_with_its_numbers(streakline: Streakline, tmp_path: Path) -> None:
    def train(attempt: int, steps: int, checkpoint: str | None) -> None:
        trainer = trainer_of(llama(), texts(20), tmp_path, max_steps=steps, save_strategy="steps", save_steps=3)
        with streakline.run(attempt=attempt) as run:
            trainer.add_callback(StreaklineCallback(run, trainer))
            trainer.train(resume_from_checkpoint=checkpoint)

    train(1, 3, None)
    train(2, 5, str(tmp_path / "trainer" / "checkpoint-3"))
    assert [(event.attempt, event.step) for event in streakline.steps()] == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5)]
    completed = [event.steps for event in streakline.events() if isinstance(event, RunCompleted)]
    assert completed == [3, 5]


class Hides(TrainerCallback):
    """Somebody who replaces the method without calling what was there."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._own = trainer.training_step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._trainer.training_step = self._own  # type: ignore[method-assign]


def test_what_goes_wrong_is_said_and_training_goes_on(
    streakline: Streakline, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = trainer_of(Regression(), regression_rows(8), tmp_path)
    with streakline.run() as run:
        trainer.add_callback(StreaklineCallback(run, trainer))
        trainer.add_callback(Hides(trainer))
        trainer.train()
    assert trainer.state.global_step == 8
    said = [record.getMessage() for record in caplog.records if record.name == "streakline"]
    assert len(said) == 1
    assert "training_step" in said[0]


def test_two_runs_of_one_training(streakline: Streakline, tmp_path: Path) -> None:
    trainer = trainer_of(Regression(), regression_rows(8), tmp_path, gradient_accumulation_steps=2)
    with streakline.run(run_id="one") as one, streakline.run(run_id="two") as two:
        trainer.add_callback(StreaklineCallback(one, trainer))
        trainer.add_callback(StreaklineCallback(two, trainer))
        trainer.train()
    losses = {
        run_id: [event.loss for event in streakline.steps() if event.run_id == run_id] for run_id in ("one", "two")
    }
    assert len(losses["one"]) == 4
    assert losses["one"] == losses["two"]
    assert "training_step" not in vars(trainer)


def in_half_precision(trainer: Trainer, scaler: torch.amp.GradScaler) -> None:
    """What Trainer does for ``fp16=True`` where there is a GPU: without one, Accelerate leaves the scaler out."""
    trainer.accelerator.scaler = scaler
    trainer.accelerator.native_amp = True


def test_norms_in_half_precision_are_unscaled_and_an_overflow_has_none(streakline: Streakline, tmp_path: Path) -> None:
    rows = regression_rows(12)
    trainer = trainer_of(Regression(), rows, tmp_path, fp16=True, num_train_epochs=1)
    # The first scale overflows float16, the ones that follow do not.
    in_half_precision(trainer, torch.amp.GradScaler("cpu", init_scale=2.0**24, backoff_factor=2.0**-16))
    with streakline.run() as run:
        trainer.add_callback(StreaklineCallback(run, trainer))
        trainer.train()
    steps = streakline.steps()
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    assert [event.max_grad is None for event in steps] == [True, False, False, False, False, False]
    # The first update was skipped, and the learning rate with it.
    assert [event.learning_rate for event in steps[:2]] == [LEARNING_RATE, LEARNING_RATE]

    model = Regression()
    with torch.autocast("cpu", dtype=torch.float16):
        loss = model(**collated(rows[2:4]))["loss"]
    loss.backward()
    largest = max(float(parameter.grad.norm()) for parameter in model.parameters() if parameter.grad is not None)
    assert steps[1].max_grad == pytest.approx(largest, rel=1e-2)


def test_two_ranks_stop_at_the_same_step_and_one_publishes(
    streakline: Streakline, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    environ = settings_environ(kafka, topics) | {"STREAKLINE_SPOOL_DIR": str(tmp_path)}
    ended = launched(torchrun("tests.rank_huggingface"), environ)
    assert ended == [Ended(rank=0, steps=10, publishes=True), Ended(rank=1, steps=10, publishes=False)]
    assert [event.step for event in streakline.steps()] == list(range(1, 11))
    assert [type(event) for event in streakline.events()[-1:]] == [RunCompleted]
