"""Lightning's Trainer publishes what it does, against the same training by hand; under both names of the package."""

import math
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch
import pytest
import pytorch_lightning
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn
from torch.utils.data import DataLoader

from producers.events import RunCompleted, RunFailed
from producers.integrations.lightning import StreaklineCallback
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from tests.commands import settings_environ
from tests.launching import Ended, launched, torchrun
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

pytestmark = [
    # Advice on how to load data faster, and on what a plain list of batches cannot be asked.
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    # Lightning's own use of torch.
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
]


class Module(lightning.pytorch.LightningModule):
    """What `small_model` is by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small_model()
        self.fails_at = self.nan_at = math.inf

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if batch_idx == self.fails_at:
            raise MemoryError("the device is full")
        loss: torch.Tensor = self.net(batch).float().square().mean()
        return loss + math.nan if batch_idx == self.nan_at else loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=LEARNING_RATE)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class OlderModule(pytorch_lightning.LightningModule):
    """The same under the older name."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small_model()

    training_step = Module.training_step
    configure_optimizers = Module.configure_optimizers
    fails_at = nan_at = math.inf


class ClipsItself(Module):
    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
        total = torch.stack([gradient.norm() for gradient in gradients]).norm()
        for gradient in gradients:
            gradient.mul_(MAX_NORM / (total + 1e-6))


class Manual(Module):
    """Two optimizers, each of which steps on every second batch, after a clip by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx) / 2
        self.manual_backward(loss)
        if batch_idx % 2 == 1:
            first, last = self.optimizers()  # type: ignore[attr-defined]
            nn.utils.clip_grad_norm_(self.net.parameters(), MAX_NORM)
            for optimizer in (first, last):
                optimizer.step()
                optimizer.zero_grad()
        return loss * 2

    def configure_optimizers(self) -> Any:
        return [
            torch.optim.SGD(self.net[index].parameters(), lr=rate) for index, rate in ((0, LEARNING_RATE), (2, 0.0))
        ]


class SaysNothing(Manual):
    def training_step(self, batch: torch.Tensor, batch_idx: int) -> Any:
        super().training_step(batch, batch_idx)


class InHalfPrecision(Module):
    """`fused`: the optimizer unscales gradients itself, inside its step."""

    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.fused = fused

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0, fused=self.fused)


@pytest.fixture
def streakline(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> Streakline:
    return Streakline(kafka, topics, tmp_path)


def trainer_of(package: Any, *callbacks: Any, **arguments: Any) -> Any:
    settings = {
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return package.Trainer(**settings | arguments, callbacks=list(callbacks))


def loader(batches: list[torch.Tensor]) -> DataLoader[torch.Tensor]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def trained_by_hand(batches: list[torch.Tensor], accumulate: int) -> list[Step]:
    """Lightning divides by `accumulate` also where fewer batches are left over."""
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    groups = grouped(batches, accumulate)
    steps = by_hand(
        model,
        groups,
        lambda batch, _: model(batch).square().mean() / accumulate,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5),
    )
    return [
        Step(step.loss * accumulate / len(group), step.learning_rate, step.measured)
        for step, group in zip(steps, groups, strict=True)
    ]


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(
    ("package", "module"),
    [(lightning.pytorch, Module), (pytorch_lightning, OlderModule), (lightning.pytorch, ClipsItself)],
    ids=["lightning", "pytorch_lightning", "own clip"],
)
def test_every_step_of_a_fit(streakline: Streakline, accumulate: int, package: Any, module: Any) -> None:
    batches = micro_batches(8)
    with streakline.run() as run:
        trainer = trainer_of(
            package,
            StreaklineCallback(run),
            accumulate_grad_batches=accumulate,
            gradient_clip_val=MAX_NORM,
        )
        trainer.fit(module(), loader(batches))

    steps = streakline.steps()
    assert_published(steps, trained_by_hand(batches, accumulate), prefix="net.")
    assert [event.step for event in steps] == list(range(1, trainer.global_step + 1))
    assert {event.epoch for event in steps} == {0}
    completed = streakline.events()[-1]
    assert isinstance(completed, RunCompleted)
    assert completed.steps == trainer.global_step


def test_manual_optimization_with_two_optimizers(streakline: Streakline) -> None:
    """One event for every batch that stepped, and its number is Lightning's, which counts both."""
    batches = micro_batches(6)
    with streakline.run() as run:
        trainer = trainer_of(lightning.pytorch, StreaklineCallback(run))
        trainer.fit(Manual(), loader(batches))

    model = small_model()
    groups: list[dict[str, Any]] = [{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=LEARNING_RATE)
    expected = by_hand(
        model,
        grouped(batches, 2),
        lambda batch, _: model(batch).square().mean() / 2,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0),
    )
    steps = streakline.steps()
    assert [event.step for event in steps] == [2, 4, 6]
    assert trainer.global_step == 6
    assert_published(steps, expected, prefix="net.")


def test_a_loss_that_nobody_returns_is_said_once(streakline: Streakline, caplog: pytest.LogCaptureFixture) -> None:
    with streakline.run() as run:
        trainer_of(lightning.pytorch, StreaklineCallback(run)).fit(SaysNothing(), loader(micro_batches(6)))
    assert streakline.steps() == []
    said = [record.getMessage() for record in caplog.records if record.name == "streakline"]
    assert said == ["a step without a loss is not published: let training_step return it"]


def test_a_loss_that_is_no_number_arrives_as_such(streakline: Streakline) -> None:
    module = Module()
    module.nan_at = 2
    with streakline.run() as run:
        trainer_of(lightning.pytorch, StreaklineCallback(run)).fit(module, loader(micro_batches(4)))
    assert [event.step for event in streakline.steps() if math.isnan(event.loss)] == [3]


@pytest.mark.parametrize("fused", [False, True])
def test_norms_in_half_precision_are_unscaled_and_an_overflow_has_none(streakline: Streakline, fused: bool) -> None:
    # The first scale overflows float16, the one that follows does not.
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, backoff_factor=2.0**-16)
    batches = micro_batches(3)
    with streakline.run() as run:
        trainer = trainer_of(
            lightning.pytorch, StreaklineCallback(run), plugins=[MixedPrecision("16-mixed", "cpu", scaler)]
        )
        trainer.fit(InHalfPrecision(fused=fused), loader(batches))
    steps = streakline.steps()
    assert [event.step for event in steps] == [1, 2, 3]
    assert [event.max_grad is None for event in steps] == [True, False, False]

    model = small_model()
    with torch.autocast("cpu", dtype=torch.float16):
        loss = model(batches[1]).float().square().mean()
    loss.backward()
    largest = max(float(parameter.grad.norm()) for parameter in model.parameters() if parameter.grad is not None)
    assert steps[1].max_grad == pytest.approx(largest, rel=1e-2)


class AsksAt(lightning.pytorch.Callback):
    """The stream application, which sends its signal at one step."""

    def __init__(self, batch: int, ask: Callable[[], None]) -> None:
        self._batch = batch
        self._ask = ask

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self._batch:
            self._ask()


def test_a_fit_stops_when_the_run_is_asked_to(streakline: Streakline) -> None:
    with streakline.run(early_stop=["loss_plateau"]) as run:
        asks = AsksAt(3, lambda: streakline.ask_to_stop(run))
        trainer = trainer_of(lightning.pytorch, StreaklineCallback(run), asks, max_epochs=5)
        trainer.fit(Module(), loader(micro_batches(40)))
    assert trainer.global_step == 4
    assert [event.step for event in streakline.steps()] == [1, 2, 3, 4]
    assert isinstance(streakline.events()[-1], RunCompleted)


def test_a_resumed_fit_goes_on_with_its_numbers(streakline: Streakline, tmp_path: Path) -> None:
    def fit(attempt: int, steps: int, checkpoint: str | None) -> None:
        with streakline.run(attempt=attempt) as run:
            trainer = trainer_of(lightning.pytorch, StreaklineCallback(run), max_epochs=None, max_steps=steps)
            trainer.fit(Module(), loader(micro_batches(8)), ckpt_path=checkpoint)
            trainer.save_checkpoint(tmp_path / "last.ckpt")

    fit(1, 3, None)
    fit(2, 5, str(tmp_path / "last.ckpt"))
    assert [(event.attempt, event.step) for event in streakline.steps()] == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5)]


def test_an_exception_fails_the_run(streakline: Streakline) -> None:
    module = Module()
    module.fails_at = 2

    def fit() -> None:
        with streakline.run() as run:
            trainer_of(lightning.pytorch, StreaklineCallback(run)).fit(module, loader(micro_batches(4)))

    with pytest.raises(MemoryError):
        fit()
    failed = streakline.events()[-1]
    assert isinstance(failed, RunFailed)
    assert failed.error == "MemoryError: the device is full"
    assert [event.step for event in streakline.steps()] == [1, 2]


@pytest.fixture
def _interrupts() -> Iterator[None]:
    """Lightning leaves Ctrl-C ignored."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("_interrupts")
def test_ctrl_c_fails_the_run_by_its_name(streakline: Streakline) -> None:
    """Lightning makes a SystemExit of it."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    def fit() -> None:
        with streakline.run() as run:
            trainer_of(lightning.pytorch, StreaklineCallback(run), AsksAt(2, interrupt)).fit(
                Module(), loader(micro_batches(4))
            )

    with pytest.raises(SystemExit):
        fit()
    failed = streakline.events()[-1]
    assert isinstance(failed, RunFailed)
    assert failed.error == "KeyboardInterrupt"


@pytest.mark.parametrize("launcher", ["torchrun", "lightning"])
def test_two_ranks_stop_at_the_same_step_and_one_publishes(
    streakline: Streakline, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, launcher: str
) -> None:
    module = "tests.rank_lightning"
    environ = settings_environ(kafka, topics) | {"STREAKLINE_SPOOL_DIR": str(tmp_path)}
    ended = launched(torchrun(module) if launcher == "torchrun" else ["-m", module], environ)
    assert ended == [Ended(rank=0, steps=10, publishes=True), Ended(rank=1, steps=10, publishes=False)]
    assert [event.step for event in streakline.steps()] == list(range(1, 11))
    assert [type(event) for event in streakline.events()[-1:]] == [RunCompleted]
