"""Publishing what Hugging Face's `Trainer` trains.

::

    with StepPublisher(run_id="sft-7", project="assistant") as run:
        trainer.add_callback(StreaklineCallback(run, trainer))
        trainer.train()
"""

from collections.abc import Callable
from typing import Any, SupportsFloat

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from producers.integrations.harmless import harmless
from producers.integrations.learning_rates import learning_rate_of
from producers.integrations.stopping import Stopping
from producers.publisher import StepPublisher


class StreaklineCallback(TrainerCallback):
    """Publishes every optimizer step of one `train` as a step of `run`, and stops it where the run is asked to.

    A step has the number that it has in Trainer's logs and checkpoints: the first is 1. Its loss is that of its
    micro-batches, summed as Trainer sums them, on rank 0, as it is: `on_log` has had NaN replaced and steps averaged.
    The norms are those before clipping, the learning rate is the one that the step was taken with. Make it on every
    rank. Nothing here raises into the training.
    """

    def __init__(self, run: StepPublisher, trainer: Trainer) -> None:
        self._run = run
        self._trainer = trainer
        self._stopping = Stopping(run)
        self._training_step = _NextResult(trainer, "training_step", self._add)
        self._loss: torch.Tensor | None = None
        self._learning_rate: SupportsFloat | None = None

    @harmless
    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Watch the model, which is prepared by now."""
        self._loss = None
        self._run.watch(kwargs["model"], scaler=self._trainer.accelerator.scaler)

    @harmless
    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The first micro-batch of an optimizer step comes next."""
        self._loss = None
        self._training_step.catch()

    @harmless
    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Another micro-batch comes next."""
        self._training_step.catch()

    @harmless
    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The last moment before the learning rate is the next step's."""
        self._learning_rate = learning_rate_of(kwargs["optimizer"])

    @harmless
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Publish the step, also one whose update the GradScaler has skipped."""
        if self._stopping.is_due(ranks=args.world_size):
            control.should_training_stop = True
        if self._loss is None:
            raise RuntimeError("somebody keeps the trainer's training_step from being seen: no loss to publish")
        self._run.step(state.global_step, self._loss, learning_rate=self._learning_rate, epoch=state.epoch)
        self._run.steps_taken = state.global_step

    @harmless
    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the trainer as it was."""
        self._training_step.release()

    def _add(self, loss: torch.Tensor) -> None:
        # In the type in which Trainer sums; whoever publishes waits for the device, once.
        self._loss = loss.float() if self._loss is None else self._loss + loss


class _NextResult:
    """Catches what the next call of a method of `owner` returns.

    The method is replaced on the instance, and is back before that call goes on to it: what is raised in a training
    leaves nothing behind.
    """

    def __init__(self, owner: object, name: str, caught: Callable[[Any], None]) -> None:
        self._owner = owner
        self._name = name
        self._caught = harmless(caught)
        self._catching: Callable[..., Any] | None = None
        self._before: dict[str, Any] = {}

    def catch(self) -> None:
        """Catch the next."""
        self.release()
        method: Callable[..., Any] = getattr(self._owner, self._name)

        def catching(*args: Any, **kwargs: Any) -> Any:
            # Somebody may hold on to this one, and call it again.
            is_next = self._catching is catching
            if is_next:
                self.release()
            result = method(*args, **kwargs)
            if is_next:
                self._caught(result)
            return result

        attributes = vars(self._owner)
        self._before = {self._name: attributes[self._name]} if self._name in attributes else {}
        self._catching = attributes[self._name] = catching

    def release(self) -> None:
        """Catch nothing; the owner has again what it had, unless somebody else has replaced it since."""
        attributes = vars(self._owner)
        if self._catching is not None and attributes.get(self._name) is self._catching:
            del attributes[self._name]
            attributes.update(self._before)
        self._catching = None
