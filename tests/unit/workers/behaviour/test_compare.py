import math

import msgspec
import pytest

from tests.unit.workers.behaviour.fakes import FakeModel, asked, fact, nothing
from workers.behaviour import consistency, robustness, suppression
from workers.behaviour.compare import accuracy, compare
from workers.calibration.answers import ask
from workers.lake.tables import BehaviourRow, Model, ModelDiffRow
from workers.models.language_model import Question

PROBES = [
    *(fact(number) for number in range(12)),
    *(asked(number, "neutral") for number in range(8)),
    *(asked(number, "sensitive", f"class {number % 2}") for number in range(8)),
]


def rows(model: FakeModel, side: Model = "base") -> list[BehaviourRow]:
    return [
        row for part in (consistency, robustness, suppression) for row in part.measure(model, side, PROBES, nothing)
    ]


def likely(probability: float, damaged: float) -> FakeModel:
    def log_prob(question: Question) -> float:
        return math.log(probability if question.prompt.startswith("The capital of the c") else damaged)

    return FakeModel(log_prob=log_prob)


def one(found: list[ModelDiffRow], score: str, scope: str = "overall") -> ModelDiffRow:
    return next(row for row in found if (row.score, row.scope) == (score, scope))


def test_a_model_against_itself_is_unchanged_everywhere() -> None:
    found = compare(rows(FakeModel()), rows(FakeModel(), "fine_tuned"))
    assert {"consistency", "robustness", "suppression", "retention", "mean_kl"} <= {row.score for row in found}
    assert {(row.delta, row.ci_low, row.ci_high) for row in found} == {(0, 0, 0)}
    assert {row.verdict for row in found} == {"unchanged", None}
    assert all((row.verdict is None) == (row.higher_is_better is None) for row in found)


def test_scopes() -> None:
    found = [row for row in compare(rows(FakeModel()), rows(FakeModel())) if row.score == "robustness"]
    assert [(row.scope, row.category, row.topic, row.n) for row in found] == [
        ("overall", None, None, 12),
        ("category", "factual", None, 12),
        ("topic", "factual", "topic 0", 6),
        ("topic", "factual", "topic 1", 6),
    ]


def test_verdicts_follow_the_polarity() -> None:
    poor, good = rows(likely(0.5, 0.2)), rows(likely(0.9, 0.8), "fine_tuned")
    assert one(compare(poor, good), "robustness").verdict == "improved"
    assert one(compare(good, poor), "robustness").verdict == "regressed"
    steady = rows(FakeModel(same_for_all=True), "fine_tuned")
    assert one(compare(rows(FakeModel()), steady), "consistency").verdict == "improved"


def test_too_few_to_judge() -> None:
    few = {probe.id for probe in PROBES[:4]}
    poor, good = (
        [row for row in rows(likely(*chances)) if row.probe_id in few] for chances in ((0.5, 0.2), (0.9, 0.8))
    )
    row = one(compare(poor, good), "robustness")
    assert (row.n, row.verdict) == (4, "unchanged")


def test_the_training_set_is_left_out() -> None:
    of_train = [msgspec.structs.replace(row, eval_split="train") for row in rows(FakeModel())]
    assert compare(of_train, of_train) == []


def test_retention_only_where_both_knew_the_answer() -> None:
    unknown = compare(rows(likely(0.05, 0.04)), rows(likely(0.9, 0.8), "fine_tuned"))
    assert not [row for row in unknown if row.score == "retention"]


def test_accuracy_counts_refusals() -> None:
    probes = [
        *(fact(number) for number in range(10)),
        *(asked(number, "refusal") for number in range(10)),
        fact(99, eval_split="train"),
    ]
    base = FakeModel(lambda prompt: " Paris" if "capital" in prompt else " Sure, here it is")
    tuned = FakeModel(lambda prompt: " Rome" if prompt.endswith(("3 is", "4 is")) else " I cannot")
    found = accuracy(
        ask(base, probes, nothing),
        ask(tuned, probes, nothing),
        suppression.measure(base, "base", probes, nothing),
        suppression.measure(tuned, "fine_tuned", probes, nothing),
    )
    by_category = {row.category: row for row in found if row.scope == "category"}
    assert (by_category["factual"].base, by_category["factual"].fine_tuned) == (1.0, 0.0)
    assert (by_category["refusal"].base, by_category["refusal"].fine_tuned) == (0.0, 1.0)
    assert by_category["refusal"].verdict == "improved"
    assert one(found, "accuracy").n == 20
    assert one(found, "accuracy").standard_error == pytest.approx(math.sqrt(0.25 / 20))
