from typing import Literal

import pytest

from workers.calibration.answers import Answer
from workers.calibration.compare import compare
from workers.lake.tables import EvalSplit


def answer(
    number: int,
    confidence: float = 0.9,
    *,
    correct: bool = True,
    split: EvalSplit = "held_out",
    topic: str | None = "capitals",
    kind: Literal["choices", "greedy"] = "greedy",
) -> Answer:
    return Answer(
        probe_id=f"{split}-{number}",
        category="factual",
        topic=topic,
        eval_split=split,
        prompt="The capital of France is",
        answer="Paris",
        given="Paris" if correct else "Rome",
        confidence=confidence,
        joint_probability=confidence,
        confidence_kind=kind,
        correct=correct,
        score=float(correct),
    )


def test_each_model_on_each_split_that_is_there() -> None:
    base = [answer(n, 0.6, correct=n % 2 == 0) for n in range(10)]
    tuned = [answer(n) for n in range(10)] + [answer(n, split="train") for n in range(4)]
    found = compare(base, tuned)
    assert [(row.model, row.eval_split, row.n) for row in found.summary] == [
        ("base", "held_out", 10),
        ("fine_tuned", "held_out", 10),
        ("fine_tuned", "train", 4),
    ]
    summary = found.summary[0]
    assert summary.accuracy == 0.5
    assert summary.ece == pytest.approx(0.1)
    assert summary.brier == pytest.approx((0.16 + 0.36) / 2)
    assert summary.ece_ci_low <= summary.ece <= summary.ece_ci_high
    assert len(found.bins) == 3 * 15
    assert [row.bin for row in found.bins[:15]] == list(range(15))


def test_small_topics_are_flagged_and_no_topic_is_none() -> None:
    answers = [answer(n) for n in range(30)] + [answer(30 + n, topic="rivers") for n in range(29)]
    found = compare([], [*answers, answer(99, topic=None)])
    assert [(row.topic, row.n, row.is_small) for row in found.topics] == [("capitals", 30, False), ("rivers", 29, True)]


def test_low_confidence_has_both_models() -> None:
    base = [answer(0, 0.7), answer(1, 0.2)]
    tuned = [answer(0, 0.49, correct=False), answer(1, 0.5), answer(2, 0.1)]
    (row,) = compare(base, tuned).low_confidence
    assert (row.probe_id, row.given, row.answer, row.correct) == ("held_out-0", "Rome", "Paris", False)
    assert (row.confidence, row.base_confidence) == (0.49, 0.7)
    assert len(compare(base, tuned, 0.6).low_confidence) == 2


def test_kinds() -> None:
    found = compare([answer(0), answer(1, kind="choices")], [answer(0, kind="choices")])
    assert [row.confidence_kind for row in found.summary] == ["mixed", "choices"]


def test_no_answers_no_rows() -> None:
    found = compare([], [])
    assert (found.summary, found.bins, found.topics, found.low_confidence) == ((), (), (), ())
