"""Publishing what Lightning's `Trainer` fits.

::

    with StepPublisher(run_id="sft-7", project="assistant") as run:
        trainer = Trainer(callbacks=[StreaklineCallback(run)])
        trainer.fit(module, data)
"""

from collections.abc import Mapping
from typing import Any, SupportsFloat

import torch

try:
    import lightning.pytorch as pl
except ImportError:
    import pytorch_lightning as pl  # type: ignore[no-redef]  # the same under its older name

from producers.complaints import Complaints
from producers.integrations.harmless import harmless
from producers.integrations.learning_rates import learning_rate_of
from producers.integrations.stopping import Stopping
from producers.publisher import StepPublisher


class StreaklineCallback(pl.Callback):
    """Publishes every batch of a `fit` after which an optimizer has stepped, and stops it where the run is asked to.

    A step has the number that checkpoints have, ``trainer.global_step``: the first is 1, and with several optimizers
    every one of theirs counts. Its loss is the mean of those of the batches since the last step, on rank 0; with manual
    optimization that is what `training_step` returns, if it does. The norms are those before clipping, the learning
    rate is the one of the first optimizer that has stepped. Nothing here raises into the training.
    """

    def __init__(self, run: StepPublisher) -> None:
        self._run = run
        self._stopping = Stopping(run)
        self._complaints = Complaints()
        self._step = 0
        self._losses: list[torch.Tensor] = []
        self._learning_rate: SupportsFloat | None = None

    @harmless
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Watch the model, which the strategy has wrapped by now."""
        self._step = trainer.global_step
        self._losses = []
        self._learning_rate = None
        self._run.watch(trainer.strategy.model or pl_module, scaler=_scaler(trainer))

    @harmless
    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Gradients are complete; the clip comes next, then the update, and then the scheduler."""
        if self._learning_rate is None:
            self._learning_rate = learning_rate_of(optimizer)
        # Here, since a module may clip in a way of its own (`configure_gradient_clipping`). Not where gradients are
        # scaled until the optimizer itself unscales them, nor where there may be those of another optimizer.
        unscales_itself = _scaler(trainer) is not None and getattr(optimizer, "_step_supports_amp_scaling", False)
        if pl_module.automatic_optimization and not unscales_itself:
            self._run.measure()

    @harmless
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Publish the step, if this batch has made one."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else None
        if loss is not None:
            # Lightning has divided it by their number already.
            self._losses.append(loss.detach().float() * trainer.accumulate_grad_batches)
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        losses, self._losses = self._losses, []
        learning_rate, self._learning_rate = self._learning_rate, None
        if self._stopping.is_due(ranks=trainer.world_size):
            trainer.should_stop = True
        if not losses:
            self._complaints.say("a step without a loss is not published: let training_step return it")
            return
        loss = torch.stack(losses).mean()
        self._run.step(self._step, loss, learning_rate=learning_rate, epoch=trainer.current_epoch)
        self._run.steps_taken = self._step

    @harmless
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Ctrl-C fails the run: Lightning makes an ordinary exit of it. Any other exception leaves the run's block."""
        if isinstance(exception, KeyboardInterrupt):
            self._run.fail(exception)


def _scaler(trainer: pl.Trainer) -> torch.amp.GradScaler | None:
    return getattr(trainer.precision_plugin, "scaler", None)
