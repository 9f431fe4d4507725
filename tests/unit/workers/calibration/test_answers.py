import math

import pytest

from tests.unit.workers.behaviour.fakes import FakeModel, asked, fact, nothing
from workers.calibration.answers import ask
from workers.errors import DiffError
from workers.models.language_model import Question


def test_choices_share_what_is_likely() -> None:
    chances = {" Rome": 0.1, " Paris": 0.3, " Den Haag": 0.2}
    model = FakeModel(log_prob=lambda question: math.log(chances[question.answer]))
    (answer,) = ask(model, [fact(0, choices=(" Rome", " Paris", " Den Haag"))], nothing)
    assert answer.given == "Paris"
    assert answer.confidence == pytest.approx(0.3 / (0.1 + 0.3 + 0.2 * 0.2))
    assert answer.joint_probability == pytest.approx(0.3)
    assert (answer.confidence_kind, answer.correct, answer.score) == ("choices", True, 1.0)


def test_very_unlikely_choices_do_not_underflow() -> None:
    model = FakeModel(log_prob=lambda question: -2000.0 - ("Rome" in question.answer))
    (answer,) = ask(model, [fact(0, choices=(" Rome", " Paris"))], nothing)
    assert answer.confidence == pytest.approx(1 / (1 + math.exp(-1)))
    assert answer.joint_probability == 0


def test_a_whole_reply_keeps_the_probabilities_it_came_with() -> None:
    model = FakeModel(lambda prompt: "New Paris")
    (answer,) = ask(model, [fact(0, "New Paris")], nothing)
    assert answer.confidence == pytest.approx(math.exp(-0.1))
    assert answer.joint_probability == pytest.approx(math.exp(-0.2))
    assert (answer.confidence_kind, answer.correct) == ("greedy", True)
    assert model.questions == []


@pytest.mark.parametrize(
    ("gold", "reply", "scored_again"),
    [
        ("Paris", " Paris. It is a large city", " Paris."),
        ("New York", " New York is large", " New York"),
        ("Seine", " the Seine river", " the Seine"),
        ("Paris", "\n\nParis\nand more", "\n\nParis"),
    ],
)
def test_what_is_cut_is_scored_again(gold: str, reply: str, scored_again: str) -> None:
    model = FakeModel(lambda prompt: reply, lambda question: math.log(0.25))
    probe = fact(0, gold)
    (answer,) = ask(model, [probe], nothing)
    assert model.questions == [Question(probe.prompt, scored_again)]
    assert answer.given == scored_again.strip()
    assert answer.confidence == pytest.approx(0.25)
    assert answer.correct


def test_other_scorers_see_the_whole_line() -> None:
    model = FakeModel(lambda prompt: " I think it is Paris\nor Rome")
    (answer,) = ask(model, [fact(0, scorer="contains")], nothing)
    assert answer.given == "I think it is Paris"
    assert answer.correct


@pytest.mark.parametrize("reply", ["", "\n\n", " "])
def test_nothing_said(reply: str) -> None:
    (answer,) = ask(FakeModel(lambda prompt: reply), [fact(0)], nothing)
    assert (answer.given, answer.correct) == ("", False)
    assert 0 <= answer.confidence <= 1


def test_order_and_who_is_asked() -> None:
    told = list[float]()
    probes = [fact(0), asked(1), fact(2, choices=(" Rome", " Paris")), fact(3, eval_split="train")]
    answers = ask(FakeModel(lambda prompt: " Paris"), probes, told.append)
    assert [answer.probe_id for answer in answers] == ["fact-0", "fact-2", "fact-3"]
    assert [answer.eval_split for answer in answers] == ["held_out", "held_out", "train"]
    assert told == sorted(told)
    assert told[-1] == 1
    assert ask(FakeModel(), [], nothing) == []


def test_a_scorer_at_fault_is_told_first() -> None:
    model = FakeModel()
    with pytest.raises(DiffError):
        ask(model, [fact(0, scorer="none", choices=(" Rome", " Paris"))], nothing)
    assert model.questions == []
