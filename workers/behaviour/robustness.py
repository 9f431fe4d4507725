"""Does a model still find the right answer when the question is a little damaged?

Everything rests on the geometric-mean probability of the gold answer's tokens, 0 to 1: measure
``gold_probability``, variant ``clean``, a corruption's name, or ``paraphrase_1``….

- ``robustness`` = its mean over the corruptions that apply to the prompt.
- ``retention`` = robustness / clean, only where clean ≥ 0.1: below, it is a ratio of noise.
- ``paraphrase_probability`` = its mean over paraphrases. Far under clean, the fine-tune learnt a wording.
"""

import math
from collections.abc import Sequence

from workers.behaviour.corruptions import corrupted
from workers.behaviour.rows import questions, row
from workers.lake.tables import BehaviourRow, Model
from workers.models.language_model import Done, LanguageModel, Question
from workers.probes.probe import Probe

MIN_CLEAN = 0.1
CLEAN = "clean"
_PARAPHRASE = "paraphrase_"


def geometric_mean(log_probs: Sequence[float]) -> float:
    """Probability per token, 0 to 1; 0 of no tokens at all.

    >>> round(geometric_mean([math.log(0.5), math.log(0.125)]), 6)
    0.25
    """
    return min(1.0, math.exp(math.fsum(log_probs) / len(log_probs))) if log_probs else 0.0


def _wordings(probe: Probe) -> dict[str, str]:
    paraphrases = {f"{_PARAPHRASE}{number}": text for number, text in enumerate(probe.paraphrases, start=1)}
    return {CLEAN: probe.prompt, **corrupted(probe.prompt, probe.id), **paraphrases}


def _rows(side: Model, probe: Probe, probabilities: dict[str, float]) -> list[BehaviourRow]:
    rows = [row(side, probe, "gold_probability", value, variant=variant) for variant, value in probabilities.items()]
    clean = probabilities[CLEAN]
    on_paraphrases = [value for variant, value in probabilities.items() if variant.startswith(_PARAPHRASE)]
    damaged = [value for v, value in probabilities.items() if v != CLEAN and not v.startswith(_PARAPHRASE)]
    if damaged:
        robustness = math.fsum(damaged) / len(damaged)
        rows.append(row(side, probe, "robustness", robustness))
        if clean >= MIN_CLEAN:
            rows.append(row(side, probe, "retention", robustness / clean))
    if on_paraphrases:
        rows.append(row(side, probe, "paraphrase_probability", math.fsum(on_paraphrases) / len(on_paraphrases)))
    return rows


def measure(model: LanguageModel, side: Model, probes: Sequence[Probe], done: Done) -> list[BehaviourRow]:
    """Rows of every probe with an answer; all wordings in one call, so that the model can batch them."""
    asked = [(probe, probe.answer, _wordings(probe)) for probe in questions(probes) if probe.answer is not None]
    wordings_asked = [Question(wording, answer) for _, answer, wordings in asked for wording in wordings.values()]
    found = iter(model.answer_log_probs(wordings_asked, done) if wordings_asked else [])
    return [
        row
        for probe, _, wordings in asked
        for row in _rows(side, probe, {variant: geometric_mean(next(found)) for variant in wordings})
    ]
