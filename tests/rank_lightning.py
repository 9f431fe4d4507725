"""One rank of a Lightning training of 40 steps, which rank 0 alone is asked to stop after 3."""

from typing import Any

import lightning.pytorch
import torch
from torch.utils.data import DataLoader

from producers.integrations.lightning import StreaklineCallback
from producers.kafka import KafkaSettings
from producers.publisher import StepPublisher
from producers.settings import load_settings
from producers.topics import TopicSettings
from tests.launching import Ended
from tests.trainings import ask_to_stop, micro_batches, small_model


class Module(lightning.pytorch.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = small_model()

    def training_step(self, batch: torch.Tensor) -> torch.Tensor:
        return self.net(batch).square().mean()  # type: ignore[no-any-return]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Asks(lightning.pytorch.Callback):
    def __init__(self, run: StepPublisher) -> None:
        self._run = run

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 3 and self._run.is_publishing:
            ask_to_stop(load_settings(KafkaSettings), load_settings(TopicSettings), self._run)


def main() -> None:
    # Before there is a process group: Lightning's own launcher starts this very script once more.
    with StepPublisher(run_id="sft/7", early_stop=["loss_plateau"]) as run:
        trainer = lightning.pytorch.Trainer(
            accelerator="cpu",
            devices=2,
            strategy="ddp",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[StreaklineCallback(run), Asks(run)],
        )
        trainer.fit(Module(), DataLoader(torch.cat(micro_batches(40)), batch_size=1))  # type: ignore[arg-type]
    Ended(trainer.global_rank, trainer.global_step, run.is_publishing).say()


if __name__ == "__main__":
    main()
