"""What a probe is, and what makes one whole."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from workers.lake.tables import EvalSplit

Kind = Literal["factual", "reasoning", "refusal", "code", "neutral", "sensitive", "text"]

MAX_NAME = 128
"""characters of an id, a category, a topic or a scorer's name"""
MAX_TEXT_BYTES = 64 << 10
"""of a prompt, a paraphrase, an answer or a choice, as UTF-8"""
MIN_PARAPHRASES, MAX_PARAPHRASES = 5, 64
MIN_CHOICES, MAX_CHOICES = 2, 26


class Probe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One question. A probe that exists is whole: anything amiss raises `ValueError`, with what it should be.

    Defaults are left out where it is encoded, so that a field added later leaves the hashes of older sets alone.
    """

    id: str
    category: str
    """factual, reasoning, refusal, code …: what scores are grouped by, never inferred"""
    topic: str | None = None
    prompt: str
    answer: str | None = None
    """what should follow the prompt, with its leading space"""
    paraphrases: tuple[str, ...] = ()
    """the same question in other words, which the same answer follows: none, or 5 to 64"""
    choices: tuple[str, ...] = ()
    """what the answer is one of: none, or 2 to 26"""
    kind: Kind = "factual"
    """what it is for; ``text`` is only read by the feature diff"""
    eval_split: EvalSplit = "held_out"
    scorer: str | None = None
    """exact, contains, choices, refusal or an entry point's name; None: by its kind and choices"""

    def __post_init__(self) -> None:
        if problem := next(_problems(self), None):
            raise ValueError(problem)


def _problems(probe: Probe) -> Iterator[str]:
    yield from _names(probe)
    yield from _texts(probe)
    yield from _paraphrases(probe)
    yield from _choices(probe)
    yield from _scorer(probe)


def _names(probe: Probe) -> Iterator[str]:
    for field, value in {
        "id": probe.id,
        "category": probe.category,
        "topic": probe.topic,
        "scorer": probe.scorer,
    }.items():
        if value is not None and not 1 <= len(value) <= MAX_NAME:
            yield f"`{field}` has {len(value)} characters and should have 1 to {MAX_NAME}"


def _texts(probe: Probe) -> Iterator[str]:
    texts = {
        "prompt": (probe.prompt,),
        "answer": () if probe.answer is None else (probe.answer,),
        "paraphrases": probe.paraphrases,
        "choices": probe.choices,
    }
    for field, values in texts.items():
        for value in values:
            size = len(value.encode("utf-8", "surrogatepass"))
            if not 1 <= size <= MAX_TEXT_BYTES:
                yield f"`{field}` holds a text of {size} bytes, which should be 1 to {MAX_TEXT_BYTES}"
            elif field != "prompt" and value.isspace():
                yield f"`{field}` holds a text that is blank, which should say something"


def _paraphrases(probe: Probe) -> Iterator[str]:
    count = len(probe.paraphrases)
    if count and not MIN_PARAPHRASES <= count <= MAX_PARAPHRASES:
        yield f"`paraphrases` has {count} and should have none or {MIN_PARAPHRASES} to {MAX_PARAPHRASES}"
    if len({probe.prompt, *probe.paraphrases}) <= count:
        yield "`paraphrases` repeats one, or the prompt, and all of them should differ"


def _choices(probe: Probe) -> Iterator[str]:
    count = len(probe.choices)
    if not count:
        return
    if not MIN_CHOICES <= count <= MAX_CHOICES:
        yield f"`choices` has {count} and should have none or {MIN_CHOICES} to {MAX_CHOICES}"
    if len(set(probe.choices)) < count:
        yield "`choices` repeats one, and all of them should differ"
    if probe.answer not in probe.choices:
        yield "`choices` lacks the `answer`, which should be one of them, letter by letter and with the same spaces"


def _scorer(probe: Probe) -> Iterator[str]:
    if probe.scorer in {"exact", "contains", "choices"} and probe.answer is None:
        yield f"`answer` is missing and should say what the scorer {probe.scorer!r} compares with"
    if probe.scorer == "choices" and not probe.choices:
        yield "`choices` is missing and should say what the scorer 'choices' chooses from"
