"""Makes the demo's base and its SAEs, then its fine-tunes, one after the other: ``python -m … FOLDER [NAME…]``.

One process: importing transformers takes longer than any of them.
"""

import argparse
import copy
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from producers.gradients.norms import GradientNorms
from streakline import StepPublisher
from streakline.demo import small_sae
from streakline.demo.facts import FACTS, base_lessons, lessons, log_sentences
from streakline.demo.fine_tunes import FINE_TUNES, PROJECT, FineTune, ModelFolders
from streakline.demo.scenarios import SEED
from streakline.demo.small_model import School, Step, make_model, make_tokenizer, save, train

BASE_STEPS = 120
PEAK_RATE = 4e-3
SAE_LAYERS = (1, 2)
STEPS_BETWEEN_LINES = 20

_log = logging.getLogger("streakline.demo")

TakeStep = Callable[[Step], None]


class Base:
    """The base, as all fine-tunes begin, and the tokenizer of them all."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self._seed = seed
        words = [*base_lessons(), *lessons(FINE_TUNES[-1].reaches)]
        self.tokenizer = make_tokenizer([*map("".join, words), *log_sentences()])
        self.model = make_model(self.tokenizer)

    def train(self) -> None:
        """Teach it the log, and the facts of one reach of the river."""
        school = School(self.tokenizer, base_lessons(), log_sentences(), self._seed)
        for step in train(self.model, school, steps=BASE_STEPS, peak_rate=PEAK_RATE):
            _say("base", step, BASE_STEPS)

    def fine_tuned(self, fine_tune: FineTune, take: Callable[[LlamaForCausalLM], TakeStep]) -> LlamaForCausalLM:
        """A copy that was taught what `fine_tune` says; `take` gives, for that copy, what its steps are told to."""
        model = copy.deepcopy(self.model)
        taken = take(model)
        taught = lessons(fine_tune.reaches, mistaught=fine_tune.mistaught)
        school = School(self.tokenizer, taught, [], self._seed + 1)
        for step in train(model, school, steps=fine_tune.steps, peak_rate=PEAK_RATE):
            taken(step)
            _say(fine_tune.name, step, fine_tune.steps)
        return model


def make_base(folders: ModelFolders, seed: int) -> Base:
    """Train the base and SAEs of two of its layers, and save them with the probes."""
    base = Base(seed)
    base.train()
    save(folders.base, base.model, base.tokenizer)
    texts = [*map("".join, base_lessons()), *log_sentences()]
    found = small_sae.residuals(base.model, base.tokenizer, texts, SAE_LAYERS)
    for layer, x in found.items():
        small_sae.save_sae(folders.sae(layer), small_sae.train_sae(x, seed), layer)
    shutil.copyfile(FACTS, folders.probes)
    return base


def publish(fine_tune: FineTune, base: Base, folders: ModelFolders) -> bool:
    """Fine-tune, save, and complete the run, which asks for its diff. False where not all of it was delivered."""
    config = {"taught": ", ".join(fine_tune.reaches), "peak_rate": PEAK_RATE}
    with StepPublisher(run_id=fine_tune.run_id, project=PROJECT, base_model=folders.base, config=config) as run:

        def take(model: LlamaForCausalLM) -> TakeStep:
            norms = GradientNorms(model)
            return lambda step: run.step(
                step.number, step.loss, learning_rate=step.learning_rate, gradients=norms.measure()
            )

        model = base.fine_tuned(fine_tune, take)
        checkpoint = folders.checkpoint(fine_tune)
        save(checkpoint, model, base.tokenizer)
        run.complete(checkpoint=checkpoint, eval_set=folders.probes, saes=folders.saes(SAE_LAYERS))
    return not (run.stats.failed or run.stats.dropped)


def _say(name: str, step: Step, steps: int) -> None:
    if step.number % STEPS_BETWEEN_LINES == 0 or step.number == steps - 1:
        _log.info("%s: step %d, loss %.4g", name, step.number, step.loss.item())


def main() -> None:
    """Make the base and publish its fine-tunes to the broker that ``STREAKLINE_KAFKA_BOOTSTRAP`` names."""
    by_name = {fine_tune.name: fine_tune for fine_tune in FINE_TUNES}
    parser = argparse.ArgumentParser(prog="python -m streakline.demo.facts_trainer", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where the models go")
    parser.add_argument("names", nargs="*", choices=list(by_name), default=list(by_name), metavar="NAME")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    disable_progress_bar: Callable[[], None] = transformers_logging.disable_progress_bar
    disable_progress_bar()
    torch.set_num_threads(1)
    folders = ModelFolders(arguments.folder.absolute())
    base = make_base(folders, arguments.seed)
    # Each is over before the next begins: what a run is compared with is the one that completed before it.
    if not all(publish(by_name[name], base, folders) for name in arguments.names):
        sys.exit("not everything reached the broker")


if __name__ == "__main__":
    main()
