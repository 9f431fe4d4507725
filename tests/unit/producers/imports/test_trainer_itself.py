"""What Hugging Face's Trainer really writes, to both of its records of a run."""

from pathlib import Path

import pytest
import torch

from producers.imports.recording import open_recording

transformers = pytest.importorskip("transformers")


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (self.layer(x) - labels).square().mean()}


@pytest.mark.filterwarnings("default")  # theirs
def test_its_state_and_its_event_files_hold_the_same_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("accelerate")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "tb"))
    torch.manual_seed(0)
    data = [{"x": torch.randn(4), "labels": torch.randn(1)} for _ in range(16)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "sft-7"),
        max_steps=12,
        logging_steps=2,
        per_device_train_batch_size=4,
        report_to=["tensorboard"],
        eval_strategy="steps",
        eval_steps=6,
        save_steps=12,
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(model=Model(), args=arguments, train_dataset=data, eval_dataset=data[:4])
    trainer.train()
    from_state = open_recording(tmp_path / "sft-7" / "checkpoint-12" / "trainer_state.json")
    from_events = open_recording(tmp_path / "tb")
    assert from_state is not None
    assert from_events is not None
    state, events = list(from_state.events()), list(from_events.events())
    assert [event.step for event in state] == [event.step for event in events] == [2, 4, 6, 8, 10, 12]
    assert {event.run_id for event in state} == {"sft-7"}
    for one, other in zip(state, events, strict=True):
        assert one.max_grad is not None
        assert one.learning_rate is not None
        # Event files hold floats of four bytes.
        assert other.loss == pytest.approx(one.loss, rel=1e-6)
        assert other.max_grad == pytest.approx(one.max_grad, rel=1e-6)
        assert other.learning_rate == pytest.approx(one.learning_rate, rel=1e-6)
        assert other.epoch == pytest.approx(one.epoch, rel=1e-6)
    assert "times" in from_state.missing
    assert "times" not in from_events.missing
    assert not from_state.is_partial
    assert not from_events.is_partial
