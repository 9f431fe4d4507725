"""Each demo scenario really trains, and gives the signals it promises and none that it forbids."""

from collections.abc import Sequence
from itertools import pairwise
from typing import SupportsFloat

import pytest
import torch

from producers.events import RunStarted, Signal, StepEvent, TrainerEvent
from producers.gradients.norms import Measured
from streakline.demo.corpus import CORPUS_CHARACTERS, corpus
from streakline.demo.scenarios import SCENARIOS, SEED, Scenario, scenario_of
from streakline.demo.trainer import train
from stream_app.engine.replay import signals_of


class Recorder:
    """Keeps a run's events instead of publishing them."""

    def __init__(self, scenario: Scenario) -> None:
        self.run_id = scenario.run_id
        self.events: list[TrainerEvent] = [RunStarted(run_id=self.run_id, ts=0.0, early_stop=scenario.early_stop)]
        self.steps: list[StepEvent] = []

    def step(self, step: int, loss: SupportsFloat, *, learning_rate: float, gradients: Measured, epoch: float) -> None:
        assert isinstance(loss, torch.Tensor)
        event = StepEvent(
            run_id=self.run_id,
            step=step,
            ts=float(step),
            loss=loss.item(),
            learning_rate=learning_rate,
            max_grad=gradients.max_grad,
            grad_norms=dict(gradients.grad_norms),
            epoch=epoch,
        )
        self.events.append(event)
        self.steps.append(event)


def recorded(scenario: Scenario, seed: int = SEED) -> Recorder:
    recorder = Recorder(scenario)
    train(scenario, recorder, seed=seed)
    return recorder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def runs() -> dict[str, Recorder]:
    torch.set_num_threads(1)
    return {scenario.name: recorded(scenario) for scenario in SCENARIOS}


def types_of(signals: Sequence[Signal]) -> set[str]:
    return {signal.type for signal in signals}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_keeps_its_promise(scenario: Scenario, runs: dict[str, Recorder]) -> None:
    signals = list(signals_of(runs[scenario.name].events))
    assert set(scenario.expected) <= types_of(signals)
    assert not set(scenario.forbidden) & types_of(signals)
    assert len(runs[scenario.name].steps) == scenario.steps


def test_the_healthy_run_learns(runs: dict[str, Recorder]) -> None:
    losses = [event.loss for event in runs["healthy"].steps]
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_the_exploding_run_is_fine_until_it_explodes(runs: dict[str, Recorder]) -> None:
    scenario = scenario_of("exploding-lr")
    assert scenario.explodes_at is not None
    before, rates = runs["exploding-lr"].events[: scenario.explodes_at + 1], runs["exploding-lr"].steps
    assert list(signals_of(before)) == []
    for earlier, later in pairwise(rates[scenario.explodes_at :]):
        assert earlier.learning_rate is not None
        assert later.learning_rate == pytest.approx(1.5 * earlier.learning_rate)


def test_the_frozen_blocks_are_named_and_their_gradient_is_exactly_zero(runs: dict[str, Recorder]) -> None:
    scenario, run = scenario_of("frozen-blocks"), runs["frozen-blocks"]
    assert scenario.shut_at is not None
    for event in run.steps:
        dead = {layer for layer, norm in (event.grad_norms or {}).items() if norm == 0.0}
        assert dead == (set(scenario.shut_modules) if event.step >= scenario.shut_at else set())
    attention, other = list(signals_of(run.events))[:2]
    assert (attention.type, attention.step, attention.layers) == (
        "attention_head_dead",
        scenario.shut_at + 4,
        {"layers.1.self_attn": 5},
    )
    assert (other.type, other.step, other.layers) == ("dead_layers", scenario.shut_at + 5, {"layers.2.mlp": 6})


def test_the_plateau_asks_to_be_stopped(runs: dict[str, Recorder]) -> None:
    signals = list(signals_of(runs["plateau"].events))
    assert {(signal.type, signal.severity, signal.action) for signal in signals} == {("loss_plateau", "info", "stop")}
    assert signals[0].epoch is not None
    assert 100 < signals[0].step < 220


def test_the_corpus_is_the_same_every_time_and_another_for_another_seed() -> None:
    assert len(corpus()) == CORPUS_CHARACTERS
    assert corpus.__wrapped__() == corpus()
    assert corpus(2) != corpus()
    assert corpus().isascii()
