"""What is measured of one model. Nothing in it owes anything to the other model, so that the base's can be kept."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from workers.behaviour import consistency, robustness, suppression
from workers.behaviour.rows import stretch
from workers.calibration.answers import Answer, ask
from workers.lake.tables import BehaviourRow, Model
from workers.models.language_model import Done, LanguageModel
from workers.probes.probe import Probe
from workers.progress import Stage
from workers.sae.encoder import Sae
from workers.sae.measure import LayerSums, measure_features


class Measurement(Struct, frozen=True, kw_only=True, eq=False):
    """One model on one set of probes and SAEs."""

    behaviour: tuple[BehaviourRow, ...]
    answers: tuple[Answer, ...]
    layers: tuple[LayerSums, ...]
    """by layer; empty without SAEs"""


def measure(
    model: LanguageModel, side: Model, probes: Sequence[Probe], saes: Sequence[Sae], begin: Callable[[Stage], Done]
) -> Measurement:
    """Ask `model` everything; `begin` is told of each stage, and gives what hears of its progress. Raises DiffError."""
    return Measurement(
        behaviour=tuple(_behaviour(model, side, probes, begin("behaviour"))),
        answers=tuple(ask(model, probes, begin("calibration"))),
        layers=tuple(measure_features(model, saes, feature_texts(probes), begin("features"))),
    )


def feature_texts(probes: Sequence[Probe]) -> list[str]:
    """What the features are measured on, each text once: every prompt and paraphrase, the right answer behind it."""
    texts = (f"{asked}{probe.answer or ''}" for probe in probes for asked in (probe.prompt, *probe.paraphrases))
    return list(dict.fromkeys(texts))


def _behaviour(model: LanguageModel, side: Model, probes: Sequence[Probe], done: Done) -> list[BehaviourRow]:
    return [
        *consistency.measure(model, side, probes, stretch(done, 0.0, 0.25)),
        *robustness.measure(model, side, probes, stretch(done, 0.25, 0.7)),
        *suppression.measure(model, side, probes, stretch(done, 0.7, 1.0)),
    ]
