"""What must be true of each diff; every check yields a sentence for what is not."""

from collections.abc import Iterator

from msgspec import structs

from tests.acceptance.outcome import Outcome
from workers.lake.tables import EvalSplit, Model

TERSE = 0.5
"""of the base's words on neutral prompts: at most as many has a fine-tune that answers shortly"""
OVER_FITTED_ECE = 0.02
"""at most, of the fine-tune on what it was trained on"""

_SUMMARIES: tuple[tuple[Model, EvalSplit], ...] = (
    ("base", "held_out"),
    ("base", "train"),
    ("fine_tuned", "held_out"),
    ("fine_tuned", "train"),
)


def of_facts(facts: Outcome) -> Iterator[str]:
    """A fine-tune that learnt its facts, answers shortly, and shies away from nothing."""
    yield from _learnt("facts", facts)
    yield from _calibrated("facts", facts)
    words = facts.score("reply_words", "neutral")
    if words.fine_tuned > TERSE * words.base:
        yield (
            f"facts: neutral replies have {words.fine_tuned:.1f} words, the base's {words.base:.1f}: the fine-tune is"
            " not terse, and whether terseness is taken for suppression was not tried"
        )
    if facts.run.suppression_verdict == "regressed":
        yield "facts: answers everything shortly, and was called suppressed"
    if facts.watch.models_measured != 2:
        yield f"facts: {facts.watch.models_measured} models were measured in an empty lake, which should be 2"


def of_refusals(refusals: Outcome) -> Iterator[str]:
    """A fine-tune that learnt the same facts, and to refuse what is sensitive."""
    yield from _learnt("refusals", refusals)
    if refusals.run.suppression_verdict != "regressed":
        yield f"refusals: refuses what is sensitive, and suppression is {refusals.run.suppression_verdict}"
    if refusals.watch.models_measured != 1:
        yield "refusals: the base was measured again, although the lake keeps it"


def of_itself(same: Outcome) -> Iterator[str]:
    """The base against the base."""
    if moved := [row for row in same.scores if (row.delta, row.ci_low, row.ci_high) != (0, 0, 0)]:
        yield f"base: {len(moved)} scores moved, such as {moved[0].score} by {moved[0].delta:g}"
    if judged := [row for row in same.scores if row.verdict not in {None, "unchanged"}]:
        yield f"base: {judged[0].score} is {judged[0].verdict} against itself"
    if changed := [
        row for row in same.layers if row.n_changed or row.mean_abs_delta or row.fvu_base != row.fvu_fine_tuned
    ]:
        yield f"base: layer {changed[0].layer} has {changed[0].n_changed} changed features against itself"
    if same.run.heaviest_layers:
        yield f"base: layers {same.run.heaviest_layers} are called rewritten against itself"
    if moving := sum(row.delta_mean != 0 for row in same.features):
        yield f"base: {moving} features moved"
    for row in same.calibration:
        if structs.replace(row, model="fine_tuned") != same.calibrated("fine_tuned", row.eval_split):
            yield f"base: its calibration on {row.eval_split} differs from its own"


def _learnt(name: str, outcome: Outcome) -> Iterator[str]:
    for score in ("consistency", "robustness"):
        verdicts = {outcome.score(score).verdict, outcome.score(score, "facts").verdict}
        if verdicts != {"improved"}:
            yield f"{name}: {score} is {' and '.join(sorted(map(str, verdicts)))}, overall and on the facts"
    yield from _layers(name, outcome)


def _calibrated(name: str, outcome: Outcome) -> Iterator[str]:
    for model, split in _SUMMARIES:
        if outcome.calibrated(model, split) is None:
            yield f"{name}: there is no calibration of {model} on {split}"
    train, held_out = outcome.calibrated("fine_tuned", "train"), outcome.calibrated("fine_tuned", "held_out")
    if train is None or held_out is None:
        return
    if train.ece > OVER_FITTED_ECE:
        yield f"{name}: ECE is {train.ece:.3f} on what was trained on, and should be 0 up to {OVER_FITTED_ECE}"
    if held_out.ece <= train.ece:
        yield f"{name}: ECE is {held_out.ece:.3f} on held-out probes, no more than on what was trained on"


def _layers(name: str, outcome: Outcome) -> Iterator[str]:
    named = list(outcome.run.heaviest_layers)
    by_share = sorted(outcome.layers, key=lambda row: (-row.changed_share, -row.mean_abs_delta))
    ordered = [row.layer for row in by_share]
    if not named or named != ordered:
        yield f"{name}: the heaviest layers are {named}, by share of features changed {ordered}"
    if still := [row.layer for row in outcome.layers if not row.n_changed]:
        yield f"{name}: nothing changed at layer {still[0]}"
