"""One rank of a Hugging Face training of 40 steps, which rank 0 alone is asked to stop after 3."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from producers.integrations.huggingface import StreaklineCallback
from producers.kafka import KafkaSettings
from producers.publisher import StepPublisher
from producers.settings import load_settings
from producers.topics import TopicSettings
from tests.launching import Ended
from tests.trainings import ask_to_stop, micro_batches, small_model


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = small_model()

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": self.net(x).square().mean()}


class Asks(TrainerCallback):
    def __init__(self, run: StepPublisher) -> None:
        self._run = run

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 3 and self._run.is_publishing:
            ask_to_stop(load_settings(KafkaSettings), load_settings(TopicSettings), self._run)


def main() -> None:
    rows = [{"x": batch[0]} for batch in micro_batches(80, rows=1)]
    arguments = TrainingArguments(
        str(Path(tempfile.gettempdir()) / "unused"),
        per_device_train_batch_size=1,
        num_train_epochs=1,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(Model(), arguments, train_dataset=rows)
    with StepPublisher(run_id="sft/7", early_stop=["loss_plateau"]) as run:
        trainer.add_callback(StreaklineCallback(run, trainer))
        trainer.add_callback(Asks(run))
        trainer.train()
    Ended(distributed.get_rank(), trainer.state.global_step, run.is_publishing).say()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
