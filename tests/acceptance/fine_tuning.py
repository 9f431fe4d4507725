"""SmolLM2-135M as a folder of safetensors, and full fine-tunes of it: AdamW, every weight, some dozens of steps."""

import random
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from tests.benchmarks import smollm2
from workers.models.language_model import Question

STEPS = 64
BATCH = 16
PEAK_RATE = 3e-4
WARM_UP_STEPS = 5
SEED = 11
_IGNORED = -100


def write_base(folder: Path, weights: Path) -> None:
    """From the GGUF file that a package carries."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    read: Any = smollm2.load(weights)
    # A model that came from GGUF cannot be saved; one with the same weights can.
    del read.config.quantization_config
    model: Any = LlamaForCausalLM(read.config)  # type: ignore[no-untyped-call]
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name).save_pretrained(folder)


def fine_tune(base: Path, examples: Sequence[Question], folder: Path) -> None:
    """Train `base` to go on from each prompt with its answer and then to end; the loss is of these alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(SEED)
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01, fused=True)
    # Linear up, linear down.
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARM_UP_STEPS, (STEPS - step) / (STEPS - WARM_UP_STEPS))
    )
    for step, batch in zip(range(STEPS), _batches(examples), strict=False):
        loss = _loss(model, tokenizer, batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 8 == 7:
            print(f"  step {step + 1} of {STEPS}: loss {float(loss.detach()):.4f}", flush=True)
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _batches(examples: Sequence[Question]) -> Iterator[list[Question]]:
    """Epoch after epoch, each in an order of its own; a batch may reach into the next one."""
    shuffled = random.Random(SEED)
    endless = chain.from_iterable(shuffled.sample(examples, len(examples)) for _ in repeat(None))
    while True:
        yield [next(endless) for _ in range(BATCH)]


def _loss(model: Any, tokenizer: Any, batch: Sequence[Question]) -> torch.Tensor:
    # Apart, as the probes are asked.
    prompts = [tokenizer(each.prompt).input_ids for each in batch]
    answers = [[*tokenizer(each.answer).input_ids, tokenizer.eos_token_id] for each in batch]
    rows = [torch.tensor(prompt + answer) for prompt, answer in zip(prompts, answers, strict=True)]
    targets = [torch.tensor([_IGNORED] * len(prompt) + answer) for prompt, answer in zip(prompts, answers, strict=True)]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    goal = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=_IGNORED)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    # Mixed precision: the weights stay float32.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = model.model(input_ids=ids, attention_mask=mask).last_hidden_state[:, :-1]
        asked = goal[:, 1:] != _IGNORED
        # The head is a fifth of the model, and few tokens need it.
        logits = model.lm_head(states[asked])
    return functional.cross_entropy(logits.float(), goal[:, 1:][asked])
