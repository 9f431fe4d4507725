import math

import pytest

from tests.unit.workers.behaviour.fakes import FakeModel, asked, fact, nothing
from workers.behaviour.robustness import measure
from workers.models.language_model import Question

CLEAN = "The capital of the country 0 is"


def only_clean(probability: float, elsewhere: float) -> FakeModel:
    def log_prob(question: Question) -> float:
        return math.log(probability if question.prompt == CLEAN else elsewhere)

    return FakeModel(log_prob=log_prob)


def figures(model: FakeModel) -> dict[tuple[str, str], float]:
    rows = measure(model, "fine_tuned", [fact(0, " New Paris"), asked(1)], nothing)
    return {(row.measure, row.variant): row.value for row in rows}


def test_means_over_corruptions_and_paraphrases() -> None:
    found = figures(only_clean(0.8, 0.2))
    assert found["gold_probability", "clean"] == pytest.approx(0.8)
    assert found["gold_probability", "typos"] == pytest.approx(0.2)
    assert found["robustness", ""] == pytest.approx(0.2)
    assert found["retention", ""] == pytest.approx(0.25)
    assert found["paraphrase_probability", ""] == pytest.approx(0.2)
    assert sum(measured == "gold_probability" for measured, _ in found) == 1 + 5 + 5


def test_no_retention_of_what_was_never_known() -> None:
    assert ("retention", "") not in figures(only_clean(0.09, 0.05))
    assert ("retention", "") in figures(only_clean(0.1001, 0.05))


def test_the_answer_is_asked_as_it_is() -> None:
    model = FakeModel()
    measure(model, "base", [fact(0)], nothing)
    assert {question.answer for question in model.questions} == {" Paris"}


def test_progress_is_passed_on() -> None:
    told = list[float]()
    measure(FakeModel(), "base", [fact(0)], told.append)
    assert told == [1.0]
