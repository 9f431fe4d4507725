import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.workers.behaviour.fakes import FakeModel, fact, nothing, seeded
from workers.behaviour.consistency import consistency, measure


@given(st.lists(st.text(), min_size=6, max_size=8), st.floats(0, 80))
def test_bounds(texts: list[str], sharpness: float) -> None:
    found = consistency(torch.stack([seeded(text, sharpness) for text in texts]))
    assert 0 <= found.consistency <= 1
    assert 0 <= found.argmax_agreement <= 1
    assert found.consistency_ratio <= 1
    assert found.mean_kl >= 0
    assert 0 <= found.anchor_entropy <= math.log(50) + 1e-6


def test_the_same_distribution_is_wholly_consistent_and_apart_is_not_at_all() -> None:
    same = consistency(seeded("x", 2).expand(6, -1))
    assert (same.consistency, same.consistency_ratio, same.mean_kl, same.argmax_agreement) == (1, 1, 0, 1)
    apart = consistency(torch.eye(6).log().log_softmax(-1))
    assert apart.consistency < 1e-9
    assert apart.argmax_agreement == 0


def test_the_ratio_turns_round_on_a_confident_model_and_consistency_does_not() -> None:
    """Unsure: a paraphrase rules three tokens in four out. Sure: it halves the chance of the only one."""
    vocabulary = 5_000
    unsure = torch.full((6, vocabulary), 1 / vocabulary)
    unsure[1:, : vocabulary // 4] = 0.999 / (vocabulary // 4)
    unsure[1:, vocabulary // 4 :] = 0.001 / (vocabulary - vocabulary // 4)
    sure = torch.zeros(6, vocabulary)
    sure[0, 0] = 1.0
    sure[1:, :2] = 0.5
    before, after = consistency(unsure.log()), consistency(sure.log())
    assert before.anchor_entropy > 8
    assert after.anchor_entropy == 0
    assert after.consistency_ratio < before.consistency_ratio - 0.1
    assert after.consistency > before.consistency + 0.2


def test_one_probe_at_a_time_and_only_those_with_five_paraphrases() -> None:
    model, told = FakeModel(), list[float]()
    few = fact(9, paraphrases=())
    rows = measure(model, "base", [fact(0), few, fact(1)], told.append)
    assert [len(prompts) for prompts in model.asked] == [6, 6]
    assert {row.probe_id for row in rows} == {"fact-0", "fact-1"}
    assert {row.measure for row in rows} == {
        "consistency",
        "consistency_ratio",
        "mean_kl",
        "anchor_entropy",
        "argmax_agreement",
    }
    assert told == [0.5, 1.0]
    assert measure(model, "base", [], nothing) == []


def test_texts_are_not_asked() -> None:
    assert measure(FakeModel(), "base", [fact(0, kind="text")], nothing) == []
