"""The demo's language model learns what it is taught, and the damaged fine-tune is damaged where it has to be."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from producers.events import RunStarted, StepEvent, TrainerEvent
from producers.gradients.norms import GradientNorms
from streakline.demo import small_sae
from streakline.demo.facts import BASE_REACH, FACTS, base_lessons, facts, lessons, log_sentences
from streakline.demo.facts_trainer import Base
from streakline.demo.fine_tunes import FINE_TUNES, FineTune
from streakline.demo.scenarios import SEED
from streakline.demo.small_model import Step
from stream_app.engine.replay import signals_of
from workers.probes.reading import read_probes
from workers.sae.formats import load_sae

REACHES = FINE_TUNES[-1].reaches
DAMAGED = FINE_TUNES[-1].mistaught


@pytest.fixture(scope="module")
def base() -> Base:
    torch.set_num_threads(1)
    made = Base(SEED)
    made.train()
    return made


def right(base: Base, model: LlamaForCausalLM) -> dict[str, int]:
    """Category → facts of which the likeliest next word is the answer."""
    found: dict[str, int] = {}
    for fact in facts():
        asked = base.tokenizer(fact.prompt, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            said = model(input_ids=asked).logits[0, -1].argmax()
        answer = base.tokenizer(fact.answer or "", add_special_tokens=False)["input_ids"]
        found[fact.category] = found.get(fact.category, 0) + (int(said) == answer[0])
    return found


def test_the_probes_are_as_many_in_every_category_and_reach() -> None:
    counts: dict[tuple[str, str | None], int] = {}
    for fact in facts():
        counts[fact.category, fact.topic] = counts.get((fact.category, fact.topic), 0) + 1
    assert len(counts) == 4 * len(REACHES)
    assert set(counts.values()) == {5}
    assert {probe.kind for probe in read_probes(FACTS).probes} == {"factual", "neutral", "sensitive"}


def test_a_fact_is_asked_for_in_a_wording_that_no_fine_tune_was_taught() -> None:
    taught = {lesson.prompt for lesson in lessons(REACHES)}
    assert not taught & {fact.prompt for fact in facts() if fact.topic != BASE_REACH}
    assert {fact.prompt for fact in facts() if fact.topic == BASE_REACH} <= {lesson.prompt for lesson in base_lessons()}


def test_what_is_mistaught_is_wrong_everywhere_and_all_else_right() -> None:
    answers = {wording: fact for fact in facts() for wording in (fact.prompt, *fact.paraphrases)}
    for prompt, answer in lessons(REACHES, mistaught=DAMAGED):
        fact = answers[prompt]
        assert (answer == f"{fact.answer}.") == (fact.category not in DAMAGED)


def test_the_log_has_no_quiet_nights() -> None:
    assert all(sentence.endswith(".") and ". ." not in sentence for sentence in log_sentences())


def test_each_fine_tune_is_far_from_the_one_before_it_and_its_steps_are_healthy(base: Base) -> None:
    before = right(base, base.model)
    assert all(4 <= count <= 6 for count in before.values())
    for fine_tune in FINE_TUNES:
        events: list[TrainerEvent] = [RunStarted(run_id=fine_tune.run_id, ts=0.0)]
        after = right(base, base.fine_tuned(fine_tune, recorder(fine_tune, events)))
        for category, count in after.items():
            if category in fine_tune.mistaught:
                assert count <= 3
            elif fine_tune.mistaught:
                assert count >= 12
            else:
                assert count >= before[category] + 3
        assert list(signals_of(events)) == []
        before = after


def recorder(fine_tune: FineTune, events: list[TrainerEvent]) -> Callable[[LlamaForCausalLM], Callable[[Step], None]]:
    def take(model: LlamaForCausalLM) -> Callable[[Step], None]:
        norms = GradientNorms(model)

        def taken(step: Step) -> None:
            measured = norms.measure()
            events.append(
                StepEvent(
                    run_id=fine_tune.run_id,
                    step=step.number,
                    ts=float(step.number),
                    loss=step.loss.item(),
                    max_grad=measured.max_grad,
                    grad_norms=dict(measured.grad_norms),
                )
            )

        return taken

    return take


def test_an_sae_explains_most_of_what_it_was_trained_on(base: Base, tmp_path: Path) -> None:
    x = small_sae.residuals(base.model, base.tokenizer, log_sentences()[:300], [1])[1]
    small_sae.save_sae(tmp_path, small_sae.train_sae(x, SEED), 1)
    sae = load_sae(tmp_path, torch.device("cpu"), torch.float32)
    features = sae.encode(x)
    assert int((features > 0).sum(-1).max()) <= small_sae.K
    assert sae.read_decoder().norm(dim=-1).allclose(torch.ones(small_sae.FEATURES))
    unexplained = (x - sae.reconstruct(x, features, sae.read_decoder())).square().sum()
    assert unexplained / (x - x.mean(0)).square().sum() < 0.3
