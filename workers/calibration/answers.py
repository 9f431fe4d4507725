"""A model's own answers, how sure it was of each, and whether they were right.

- Choices: the softmax over the choices' summed log-probabilities; the likeliest is the answer, its share the
  confidence.
- Open: the greedy answer, cut to one line and, where the scorer looks at its beginning, to as many words as the right
  one has: what a base model rambles on with says nothing of how sure it was. The confidence is the geometric-mean
  probability of the tokens that are left. What was cut is scored again, since only whole replies come with theirs.
"""

import math
from collections.abc import Sequence

from msgspec import Struct

from workers.behaviour.robustness import geometric_mean
from workers.behaviour.rows import questions, stretch
from workers.behaviour.scorers import ARTICLE, RIGHT_FROM, default_scorer, require, score
from workers.lake.tables import ConfidenceKind, EvalSplit
from workers.models.language_model import Done, Generation, LanguageModel, Question
from workers.probes.probe import Probe

MAX_NEW_TOKENS = 16
"""of an open answer, unless the right one is longer"""
TOKENS_PER_WORD = 3
"""of the right answer, generously: what is too much is cut"""


class Answer(Struct, frozen=True, kw_only=True):
    """What one model answered to one probe."""

    probe_id: str
    category: str
    topic: str | None
    eval_split: EvalSplit
    prompt: str
    answer: str
    """the right one, as it follows the prompt"""
    given: str
    """without the blanks around it"""
    confidence: float
    joint_probability: float
    """of the whole answer given, all its tokens in a row"""
    confidence_kind: ConfidenceKind
    correct: bool
    score: float


def ask(model: LanguageModel, probes: Sequence[Probe], done: Done) -> list[Answer]:
    """An answer to every probe that has a right one, in their order. Raises `DiffError` where a scorer is at fault."""
    with_answer = [probe for probe in questions(probes) if probe.answer is not None]
    require(with_answer)
    chosen = [probe for probe in with_answer if probe.choices]
    opened = [probe for probe in with_answer if not probe.choices]
    split = len(chosen) / len(with_answer) if with_answer else 1.0
    answers = [*_choose(model, chosen, stretch(done, 0.0, split)), *_reply(model, opened, stretch(done, split, 1.0))]
    found = {answer.probe_id: answer for answer in answers}
    done(1.0)
    return [found[probe.id] for probe in with_answer]


def _choose(model: LanguageModel, probes: Sequence[Probe], done: Done) -> list[Answer]:
    offered = [Question(probe.prompt, choice) for probe in probes for choice in probe.choices]
    found = iter(model.answer_log_probs(offered, done) if offered else [])
    answers = []
    for probe in probes:
        sums = [math.fsum(next(found)) for _ in probe.choices]
        best = max(range(len(sums)), key=sums.__getitem__)
        confidence = 1 / math.fsum(math.exp(other - sums[best]) for other in sums)
        answers.append(_answer(probe, probe.choices[best].strip(), confidence, math.exp(sums[best]), "choices"))
    return answers


def _reply(model: LanguageModel, probes: Sequence[Probe], done: Done) -> list[Answer]:
    if not probes:
        return []
    prompts = [probe.prompt for probe in probes]
    longest = max(len((probe.answer or "").split()) for probe in probes)
    replies = model.generate(prompts, max(MAX_NEW_TOKENS, TOKENS_PER_WORD * longest), stretch(done, 0.0, 0.8))
    said = [_cut(probe, reply.text) for probe, reply in zip(probes, replies, strict=True)]
    shortened = [at for at, reply in enumerate(replies) if said[at].strip() and said[at] != reply.text]
    spoken = [Question(prompts[at], said[at]) for at in shortened]
    again = model.answer_log_probs(spoken, stretch(done, 0.8, 1.0)) if spoken else []
    log_probs = [_spoken(reply, text) for reply, text in zip(replies, said, strict=True)]
    for at, found in zip(shortened, again, strict=True):
        log_probs[at] = found
    return [
        _answer(probe, text.strip(), geometric_mean(tokens), math.exp(math.fsum(tokens)) if tokens else 0.0, "greedy")
        for probe, text, tokens in zip(probes, said, log_probs, strict=True)
    ]


def _cut(probe: Probe, reply: str) -> str:
    """The first line with something on it, what stands before it included: the model said that too."""
    blank = len(reply) - len(reply.lstrip())
    line = reply[: blank + len(reply.lstrip().split("\n", 1)[0])].rstrip()
    if (probe.scorer or default_scorer(probe)) != "exact":
        return line if line.strip() else reply
    gold = probe.answer or ""
    added_article = bool(ARTICLE.match(line.lstrip())) and not ARTICLE.match(gold.lstrip())
    words = line.split()[: max(1, len(gold.split())) + added_article]
    end = blank
    for word in words:
        end = line.index(word, end) + len(word)
    return line[:end] if words else reply


def _spoken(reply: Generation, said: str) -> tuple[float, ...]:
    # A reply of nothing but blanks is one decision: to say nothing.
    return reply.log_probs if said.strip() else reply.log_probs[:1]


def _answer(probe: Probe, given: str, confidence: float, joint: float, kind: ConfidenceKind) -> Answer:
    value = score(probe, given)
    return Answer(
        probe_id=probe.id,
        category=probe.category,
        topic=probe.topic,
        eval_split=probe.eval_split,
        prompt=probe.prompt,
        answer=probe.answer or "",
        given=given,
        confidence=min(1.0, confidence),
        joint_probability=min(1.0, joint),
        confidence_kind=kind,
        correct=value >= RIGHT_FROM,
        score=value,
    )
