"""One trainer of the demo: ``python -m streakline.demo.trainer SCENARIO``."""

import argparse
import logging
import sys
from typing import Protocol, SupportsFloat

import torch
from torch import nn
from torch.nn import functional

from producers.gradients.norms import GradientNorms, Measured
from streakline import StepPublisher
from streakline.demo.corpus import corpus
from streakline.demo.scenarios import SCENARIOS, SEED, Scenario, scenario_of
from streakline.demo.transformer import Gate, Shape, Transformer

CONTEXT = 64
STEPS_BETWEEN_LINES = 20

_log = logging.getLogger("streakline.demo")


class TakesSteps(Protocol):
    """What `train` tells its steps to: a `StepPublisher`, or whoever else wants them."""

    def step(
        self, step: int, loss: SupportsFloat, /, *, learning_rate: float, gradients: Measured, epoch: float
    ) -> None:
        """Take one step."""


def train(scenario: Scenario, run: TakesSteps, *, seed: int = SEED) -> None:
    """Train a small transformer through `scenario` and tell `run` every step."""
    torch.manual_seed(seed)
    text = _Text(corpus(), seed)
    model = Transformer(Shape(vocabulary=text.vocabulary, context=CONTEXT))
    optimizer = _optimizer(scenario, model)
    norms = GradientNorms(model)
    batch = text.sample(scenario.batch)
    for step in range(scenario.steps):
        if not scenario.batch_is_fixed:
            batch = text.sample(scenario.batch)
        if step == scenario.shut_at:
            _shut(model, scenario.shut_modules)
        rate = scenario.learning_rate(step)
        for group in optimizer.param_groups:
            group["lr"] = rate

        optimizer.zero_grad()
        loss = functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = norms.measure()
        nn.utils.clip_grad_norm_(model.parameters(), scenario.clip)
        optimizer.step()
        epoch = (step + 1) * batch.numel() / text.characters.numel()
        run.step(step, loss, learning_rate=rate, gradients=gradients, epoch=epoch)
        if step % STEPS_BETWEEN_LINES == 0 or step == scenario.steps - 1:
            _log.info("step %d, loss %.4g, learning rate %.3g", step, loss.item(), rate)


class _Text:
    def __init__(self, text: str, seed: int) -> None:
        alphabet = sorted(set(text))
        numbers = {character: number for number, character in enumerate(alphabet)}
        self.vocabulary = len(alphabet)
        self.characters = torch.tensor([numbers[character] for character in text])
        self._random = torch.Generator().manual_seed(seed)

    def sample(self, batch: int) -> torch.Tensor:
        """(batch, context + 1) character numbers from random places."""
        starts = torch.randint(self.characters.numel() - CONTEXT, (batch, 1), generator=self._random)
        return self.characters[starts + torch.arange(CONTEXT + 1)]


def _optimizer(scenario: Scenario, model: nn.Module) -> torch.optim.Optimizer:
    if scenario.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=scenario.peak_rate, momentum=0.98)
    return torch.optim.AdamW(model.parameters(), lr=scenario.peak_rate, betas=(0.9, 0.99))


def _shut(model: nn.Module, modules: tuple[str, ...]) -> None:
    for name in modules:
        gate = model.get_submodule(f"{name}.gate")
        assert isinstance(gate, Gate)  # noqa: S101 - the demo's own layers have it
        gate.shut()


def main() -> None:
    """Train one scenario and publish it to the broker that ``STREAKLINE_KAFKA_BOOTSTRAP`` names."""
    parser = argparse.ArgumentParser(prog="python -m streakline.demo.trainer", description=main.__doc__)
    parser.add_argument("scenario", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--run-id", help="default: demo-SCENARIO")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # Several of these share a machine, and a model this small gains nothing from more.
    torch.set_num_threads(1)
    scenario = scenario_of(arguments.scenario)
    config = {"optimizer": scenario.optimizer, "peak_rate": scenario.peak_rate, "batch": scenario.batch}
    run_id = arguments.run_id or scenario.run_id
    with StepPublisher(run_id=run_id, project="demo", early_stop=scenario.early_stop, config=config) as run:
        train(scenario, run, seed=arguments.seed)
    if run.stats.failed or run.stats.dropped:
        sys.exit("not every step reached the broker")


if __name__ == "__main__":
    main()
