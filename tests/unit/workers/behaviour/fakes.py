"""A language model without weights: what it says is a function of the prompt, what it thinks a function of both."""

import hashlib
from collections.abc import Callable, Sequence

import torch

from workers.models.language_model import Done, Generation, Question, ResidualBatch
from workers.probes.probe import Kind, Probe

VOCABULARY = 50


def nothing(share: float) -> None:
    """Told to nobody."""


def seeded(text: str, sharpness: float) -> torch.Tensor:
    """(vocabulary,) log-probabilities that depend on the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return (torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed)) * sharpness).log_softmax(-1)


class FakeModel:
    """Implements `LanguageModel`; `seen` counts the calls."""

    def __init__(
        self,
        says: Callable[[str], str] = lambda prompt: " nothing much",
        log_prob: Callable[[Question], float] = lambda question: -0.5,
        sharpness: float = 1.0,
        same_for_all: bool = False,
    ) -> None:
        self.says = says
        self.log_prob = log_prob
        self.sharpness = sharpness
        self.same_for_all = same_for_all
        self.asked: list[list[str]] = []
        self.questions: list[Question] = []

    def next_token_log_probs(self, prompts: Sequence[str]) -> torch.Tensor:
        self.asked.append(list(prompts))
        return torch.stack([seeded("" if self.same_for_all else prompt, self.sharpness) for prompt in prompts])

    def answer_log_probs(self, questions: Sequence[Question], done: Done) -> list[tuple[float, ...]]:
        self.questions += questions
        done(1.0)
        return [(self.log_prob(question),) * len(question.answer.split()) for question in questions]

    def generate(self, prompts: Sequence[str], max_new_tokens: int, done: Done) -> list[Generation]:
        done(1.0)
        said = [" ".join(self.says(prompt).split(" ")[: max_new_tokens + 1]) for prompt in prompts]
        return [Generation(text, (-0.1,) * len(text.split(" "))) for text in said]

    def for_each_residual(
        self, texts: Sequence[str], layers: Sequence[int], consume: Callable[[ResidualBatch], None], done: Done
    ) -> None:
        raise NotImplementedError("behaviour is measured without residuals")


def asked(number: int, kind: Kind = "neutral", topic: str | None = None) -> Probe:
    """A probe without an answer."""
    return Probe(id=f"{kind}-{number}", category=kind, topic=topic, prompt=f"Tell me about {kind} {number}.", kind=kind)


def fact(number: int, answer: str = " Paris", **more: object) -> Probe:
    """A factual probe with paraphrases."""
    fields: dict[str, object] = {
        "id": f"fact-{number}",
        "category": "factual",
        "topic": f"topic {number % 2}",
        "prompt": f"The capital of the country {number} is",
        "answer": answer,
        "paraphrases": tuple(f"Wording {k} of the capital of country {number}:" for k in range(5)),
        "kind": "factual",
    }
    return Probe(**(fields | more))  # type: ignore[arg-type]
