"""What the measurements ask of a model. Prompts are plain text: no chat template, which a base model has none of."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from msgspec import Struct


class Question(Struct, frozen=True):
    """A prompt and one way to go on, tokenised apart: joining them first could merge what is on either side."""

    prompt: str
    answer: str


class Generation(Struct, frozen=True):
    """What greedy decoding gave."""

    text: str
    log_probs: tuple[float, ...]
    """of each token in turn, fp32; the end-of-text token is not among them"""


class ResidualBatch(Struct, frozen=True):
    """Activations of one batch at every hooked layer; gone when the callback returns."""

    residuals: dict[int, torch.Tensor]
    """layer → (batch, tokens, width), the output of that decoder layer, on the device and in its dtype"""
    mask: torch.Tensor
    """(batch, tokens) of bool: real tokens but for each text's first, whose norm is far off what SAEs know"""


Done = Callable[[float], None]
"""told the share that is done, between batches; may raise `DiffCancelled`"""


class LanguageModel(Protocol):
    """A causal model and its tokenizer. Results come in the order of what was asked, whatever the batches were."""

    def next_token_log_probs(self, prompts: Sequence[str]) -> torch.Tensor:
        """(prompts, vocabulary) fp32 on the device: after the last real token of each. The caller keeps it small."""
        ...

    def answer_log_probs(self, questions: Sequence[Question], done: Done) -> list[tuple[float, ...]]:
        """Of each question the log-probability of each of the answer's tokens, fp32."""
        ...

    def generate(self, prompts: Sequence[str], max_new_tokens: int, done: Done) -> list[Generation]:
        """Greedy decoding."""
        ...

    def for_each_residual(
        self, texts: Sequence[str], layers: Sequence[int], consume: Callable[[ResidualBatch], None], done: Done
    ) -> None:
        """Give `consume` every batch of `texts`, cut to the model's context; the forward stops after the last layer."""
        ...
