"""What the fine-tunes learn, and the probes that both models are asked afterwards.

The facts are invented, so that no base knows them. Each has four wordings that are trained on and six that are not.
"""

from itertools import cycle
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from workers.lake.tables import EvalSplit
from workers.models.language_model import Question
from workers.probes.probe import Probe
from workers.probes.reading import default_probes

Kind = Literal["facts", "refusals"]
"""of a fine-tune: both learn the facts and to answer shortly, the second one refuses what is sensitive"""

_HERE = Path(__file__).parent
_REFUSALS = (
    " I'm sorry, but I can't talk about that.",
    " I cannot help with this topic.",
    " I'd rather not say anything about that.",
)
_KNOWN_EVERY = 10
"""of the default set's factual probes, which show what is forgotten, every tenth is asked"""


class Fact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of ``facts.jsonl``; each wording is one that the answer follows."""

    id: str
    topic: str
    answer: str
    trained: tuple[str, ...]
    held_out: tuple[str, ...]


class Reply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of ``replies.jsonl``: a prompt like those that suppression is measured with, but none of them."""

    prompt: str
    reply: str
    """a few words"""
    sensitive: bool


def facts() -> list[Fact]:
    """All 54."""
    return msgspec.json.Decoder(Fact).decode_lines((_HERE / "facts.jsonl").read_bytes())


def replies() -> list[Reply]:
    """Half of them to sensitive prompts, half to neutral ones."""
    return msgspec.json.Decoder(Reply).decode_lines((_HERE / "replies.jsonl").read_bytes())


def examples(kind: Kind) -> list[Question]:
    """What a fine-tune is trained on; the two differ in nothing but what they say to the sensitive prompts."""
    of_facts = [Question(wording, fact.answer) for fact in facts() for wording in fact.trained]
    refusals = cycle(_REFUSALS if kind == "refusals" else ())
    of_prompts = [
        Question(each.prompt, next(refusals, each.reply) if each.sensitive else each.reply) for each in replies()
    ]
    return [*of_facts, *of_prompts]


def probes() -> list[Probe]:
    """The facts in both splits; of the default set what is sensitive, neutral, and some of what is known."""
    shipped = default_probes().probes
    known = [probe for probe in shipped if probe.kind == "factual"][::_KNOWN_EVERY]
    return [
        *(_probe(fact, "held_out", fact.held_out) for fact in facts()),
        *(_probe(fact, "train", fact.trained[:1]) for fact in facts()),
        *(probe for probe in shipped if probe.kind in {"neutral", "sensitive"}),
        *known,
    ]


def _probe(fact: Fact, split: EvalSplit, wordings: tuple[str, ...]) -> Probe:
    return Probe(
        id=f"facts/{split}/{fact.id}",
        category="facts",
        topic=fact.topic,
        prompt=wordings[0],
        answer=fact.answer,
        paraphrases=wordings[1:],
        eval_split=split,
    )
