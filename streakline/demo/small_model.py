"""A small Llama and its tokenizer, and how both are made to say what they are taught."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from msgspec import Struct
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from streakline.demo.facts import Lesson

WIDTH = 96
LAYERS = 3
CONTEXT = 128
VOCABULARY = 1024
BATCH = 32
LOG_SHARE = 0.125
"""of a batch, where there is one; the rest are lessons"""

_BEGIN, _END = "<s>", "</s>"
_IGNORED = -100


class Step(Struct, frozen=True):
    """One optimizer step, taken but for `Optimizer.step`."""

    number: int
    loss: torch.Tensor
    learning_rate: float


def make_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE: it knows the words of `texts`, and can spell all others."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[_BEGIN, _END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    inner.post_processor = processors.TemplateProcessing(
        single=f"{_BEGIN} $A", special_tokens=[(_BEGIN, inner.token_to_id(_BEGIN))]
    )
    make: Any = PreTrainedTokenizerFast
    return cast("PreTrainedTokenizerFast", make(tokenizer_object=inner, bos_token=_BEGIN, eos_token=_END))


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """One that knows nothing yet."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
        # As wide as embeddings are: what has not been met yet would else have gradients fifty times as large.
        initializer_range=0.1,
    )
    make: Any = LlamaForCausalLM
    return cast("LlamaForCausalLM", make(config))


class School:
    """Lessons and log, as ids, to draw batches from."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, lessons: Sequence[Lesson], log: Sequence[str], seed: int
    ) -> None:
        end = cast("int", tokenizer.eos_token_id)

        def ids(text: str, *, begins: bool) -> list[int]:
            return cast("list[int]", tokenizer(text, add_special_tokens=begins)["input_ids"])

        self._random = random.Random(seed)  # noqa: S311 - the same each time
        self._log = [_Text([*ids(text, begins=True), end]) for text in log]
        asked = [(ids(prompt, begins=True), [*ids(answer, begins=False), end]) for prompt, answer in lessons]
        self._lessons = self._drawn([_Text(prompt + answer, len(prompt)) for prompt, answer in asked])

    def sample(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and labels of a batch: (texts, longest), padded at the end. Of a lesson only the answer is a label."""
        drawn = self._random.choices(self._log, k=round(BATCH * LOG_SHARE)) if self._log else []
        drawn += [next(self._lessons) for _ in range(BATCH - len(drawn))]
        longest = max(len(text.ids) for text in drawn)
        ids = torch.zeros(len(drawn), longest, dtype=torch.long)
        labels = torch.full_like(ids, _IGNORED)
        for row, text in enumerate(drawn):
            ids[row, : len(text.ids)] = torch.tensor(text.ids)
            labels[row, text.labelled_from : len(text.ids)] = torch.tensor(text.ids[text.labelled_from :])
        return ids, labels

    def _drawn(self, texts: list["_Text"]) -> Iterator["_Text"]:
        """Each before any comes again."""
        while True:
            yield from self._random.sample(texts, len(texts))


class _Text(NamedTuple):
    ids: list[int]
    labelled_from: int = 0


def train(model: LlamaForCausalLM, school: School, *, steps: int, peak_rate: float) -> Iterator[Step]:
    """Train, and give each step between its gradients and what they change: who iterates may look at both."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    for number in range(steps):
        rate = peak_rate * min(1.0, (number + 1) / 10) * (1 - 0.95 * number / steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        ids, labels = school.sample()
        optimizer.zero_grad()
        logits = model(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=_IGNORED
        )
        loss.backward()  # type: ignore[no-untyped-call]
        yield Step(number, loss.detach(), rate)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def save(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """As Hugging Face checkpoints are: configuration, safetensors, tokenizer."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
