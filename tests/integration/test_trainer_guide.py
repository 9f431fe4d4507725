"""Every snippet and command of docs/trainers.md, run as it stands there."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from producers.codec import decode
from producers.events import RunCompleted, StepEvent
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from tests.commands import settings_environ, streakline
from tests.documents import ROOT, blocks

FOLDER = ROOT / "docs"
GUIDE = (FOLDER / "trainers.md").read_text()

PYTORCH, HUGGING_FACE, LIGHTNING, ACCELERATE = blocks(GUIDE, "python")

# What each snippet leaves to the reader's own script.
_TORCH = """
import torch
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
batches = [torch.randn(2, 4) for _ in range(20)]
"""
_HUGGING_FACE = """
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments
config = LlamaConfig(vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
ids = torch.randint(16, (40, 6))
rows = [{"input_ids": row, "labels": row} for row in ids]
arguments = TrainingArguments(
    output_dir=FOLDER, max_steps=20, per_device_train_batch_size=2, report_to=[], use_cpu=True, save_strategy="no"
)
trainer = Trainer(LlamaForCausalLM(config), arguments, train_dataset=rows)
"""
_LIGHTNING = """
import torch
from lightning.pytorch import LightningModule
class Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def training_step(self, batch):
        return self.layer(batch).square().mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)
import os
os.chdir(FOLDER)
module, data = Module(), torch.utils.data.DataLoader(torch.randn(40, 4), batch_size=2)
"""
_ACCELERATE = """
import torch
from accelerate import Accelerator
accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
data = torch.utils.data.DataLoader(torch.randn(80, 4), batch_size=2)
model, optimizer, data = accelerator.prepare(model, optimizer, data)
"""


@pytest.mark.parametrize(
    ("preamble", "snippet", "first"),
    [
        pytest.param(_TORCH, PYTORCH, 0, id="pytorch"),
        pytest.param(_HUGGING_FACE, HUGGING_FACE, 1, id="hugging face"),
        pytest.param(_LIGHTNING, LIGHTNING, 1, id="lightning"),
        pytest.param(_ACCELERATE, ACCELERATE, 1, id="accelerate"),
    ],
)
def test_a_snippet_publishes_a_whole_run_with_its_norms(
    preamble: str, snippet: str, first: int, kafka: KafkaSettings, topics: TopicSettings, tmp_path: object
) -> None:
    program = f"FOLDER = {str(tmp_path)!r}\n{preamble}\n{snippet}"
    environ = {**os.environ, **settings_environ(kafka, topics), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, env=environ, timeout=200)
    events = [decode(message.value() or b"") for message in read_topic(kafka, topic_names(topics).steps)]
    steps = [event for event in events if isinstance(event, StepEvent)]
    assert [event.step for event in steps] == list(range(first, first + 20))
    assert all(event.grad_norms and event.max_grad for event in steps)
    assert isinstance(events[-1], RunCompleted)
    assert events[-1].steps == 20 if first == 0 else 21


@pytest.mark.parametrize("line", [line for block in blocks(GUIDE, "sh") for line in block.splitlines()])
def test_a_command_does_what_it_says(line: str, kafka: KafkaSettings, topics: TopicSettings) -> None:
    program, *arguments = shlex.split(line)
    assert program == "streakline"
    ended = streakline(*arguments, environ=settings_environ(kafka, topics))
    assert ended.code == 0, ended.err


def test_every_setting_that_is_named_is_one() -> None:
    from msgspec.structs import fields

    from producers.spool.settings import SpoolSettings

    known = {f"STREAKLINE_{field.name.upper()}" for kind in (KafkaSettings, SpoolSettings) for field in fields(kind)}
    named = set(re.findall(r"`(STREAKLINE_[A-Z_]+)`", GUIDE))
    assert len(named) > 3
    assert named - known == set()
