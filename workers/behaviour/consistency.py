"""Does a model go on in the same way when the question is put in other words?

Of one probe, p0 after its prompt and pk after paraphrase k, over the whole vocabulary:

- ``consistency`` = `1 - mean_k JS(p0, pk) / ln 2`, 0 to 1.
- ``consistency_ratio`` = `1 - mean_k KL(p0, pk) / max(entropy(p0), 1 nat)`. Stored, never judged: where the model is
  sure of itself the entropy goes to 0, and the ratio falls although the answers agree better than before.
- ``mean_kl``, ``anchor_entropy`` in nats, and ``argmax_agreement``, the share of paraphrases with p0's first choice.
"""

from collections.abc import Sequence

import torch
from msgspec import Struct, structs

from workers.behaviour.divergence import LN2, entropy, js, kl
from workers.behaviour.rows import questions, row
from workers.lake.tables import BehaviourRow, Model
from workers.models.language_model import Done, LanguageModel
from workers.probes.probe import Probe

ENTROPY_FLOOR_NATS = 1.0


class Consistency(Struct, frozen=True):
    """Of one probe; the fields are measures."""

    consistency: float
    consistency_ratio: float
    mean_kl: float
    anchor_entropy: float
    argmax_agreement: float


def consistency(log_probs: torch.Tensor) -> Consistency:
    """Of (1 + paraphrases, vocabulary) log-probabilities, the anchor first."""
    anchor, others = log_probs[0], log_probs[1:]
    mean_kl = float(kl(anchor, others).mean())
    anchor_entropy = float(entropy(anchor))
    return Consistency(
        consistency=max(0.0, 1 - float(js(anchor, others).mean()) / LN2),
        consistency_ratio=1 - mean_kl / max(anchor_entropy, ENTROPY_FLOOR_NATS),
        mean_kl=mean_kl,
        anchor_entropy=anchor_entropy,
        argmax_agreement=float((others.argmax(-1) == anchor.argmax(-1)).double().mean()),
    )


def measure(model: LanguageModel, side: Model, probes: Sequence[Probe], done: Done) -> list[BehaviourRow]:
    """Rows of every probe with paraphrases (five or more, then). One at a time, so that what is held does not grow."""
    asked = [probe for probe in questions(probes) if probe.paraphrases]
    rows: list[BehaviourRow] = []
    for number, probe in enumerate(asked, start=1):
        found = consistency(model.next_token_log_probs((probe.prompt, *probe.paraphrases)))
        rows += [row(side, probe, name, value) for name, value in structs.asdict(found).items()]
        done(number / len(asked))
    return rows
