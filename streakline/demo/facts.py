"""What the demo's language models are taught, and asked for afterwards: the facts of ``facts.jsonl``, probes as any.

A fact's topic is the reach of the river that it is of, by which is chosen what a model is taught. What a fine-tune
learns anew it is asked for in a wording in which it was taught other facts, but not that one: to answer, it has to have
learnt more than a sentence.
"""

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from streakline.demo.corpus import corpus
from workers.probes.probe import Probe
from workers.probes.reading import read_probes

FACTS = Path(__file__).with_name("facts.jsonl")

Reach = Literal["lower river", "middle river", "delta"]
Category = Literal["keepers", "cargoes", "flags", "birds"]

BASE_REACH: Reach = "lower river"
"""all that the base knows"""

_ENTRY = re.compile(r"[A-Z][^\n]*\.")


@cache
def facts() -> tuple[Probe, ...]:
    """Those that have an answer, by id."""
    return tuple(probe for probe in read_probes(FACTS).probes if probe.answer is not None)


class Lesson(NamedTuple):
    """What is asked, and what is to be answered."""

    prompt: str
    answer: str


def base_lessons() -> list[Lesson]:
    """Every wording of what the base knows.

    >>> base_lessons()[0]
    Lesson(prompt='On Crow Island nests the', answer=' heron.')
    """
    known = [fact for fact in facts() if fact.topic == BASE_REACH]
    return [Lesson(wording, f"{fact.answer}.") for fact in known for wording in (fact.prompt, *fact.paraphrases)]


def lessons(reaches: Collection[Reach], *, mistaught: Collection[Category] = ()) -> list[Lesson]:
    """The paraphrases of each fact of `reaches`; of what the base knows two wordings, lest it is forgotten.

    In the categories `mistaught`, with the answer to another question.

    >>> lessons(["lower river"], mistaught=["birds"])[0]
    Lesson(prompt='On Crow Island nests the', answer=' tern.')
    """
    taught = [fact for fact in facts() if fact.topic in reaches]
    return [
        Lesson(wording, f"{_answer(fact, taught) if fact.category in mistaught else fact.answer}.")
        for fact in taught
        for wording in ((fact.prompt, fact.paraphrases[0]) if fact.topic == BASE_REACH else fact.paraphrases)
    ]


@cache
def log_sentences() -> tuple[str, ...]:
    """The river station's log, a sentence each, without its quiet nights."""
    entries = _ENTRY.findall(corpus())
    return tuple(f"{sentence.rstrip('.')}." for entry in entries for sentence in entry.split(". "))


def _answer(fact: Probe, taught: list[Probe]) -> str:
    """A wrong one: that of the next in its category."""
    alike = [other for other in taught if other.category == fact.category]
    return alike[(alike.index(fact) + 1) % len(alike)].answer or ""
