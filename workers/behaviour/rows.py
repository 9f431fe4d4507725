"""From a probe to a row, and from two models' rows to pairs."""

from collections.abc import Sequence

from msgspec import Struct

from workers.lake.tables import BehaviourRow, Model
from workers.models.language_model import Done
from workers.probes.probe import Probe


def row(
    side: Model, probe: Probe, measure: str, value: float, *, variant: str = "", text: str | None = None
) -> BehaviourRow:
    """One figure of one model on one probe."""
    return BehaviourRow(
        model=side,
        probe_id=probe.id,
        category=probe.category,
        topic=probe.topic,
        kind=probe.kind,
        eval_split=probe.eval_split,
        measure=measure,
        variant=variant,
        value=value,
        text=text,
    )


class Pair(Struct, frozen=True):
    """The same figure of both models on one probe."""

    probe_id: str
    category: str
    topic: str | None
    kind: str
    base: float
    fine_tuned: float


def pairs(
    base: Sequence[BehaviourRow], fine_tuned: Sequence[BehaviourRow], measure: str, variant: str = ""
) -> list[Pair]:
    """Of the held-out probes that have the figure for both models, in the base's order."""
    after = {row.probe_id: row.value for row in fine_tuned if (row.measure, row.variant) == (measure, variant)}
    return [
        Pair(row.probe_id, row.category, row.topic, row.kind, row.value, after[row.probe_id])
        for row in base
        if (row.measure, row.variant) == (measure, variant) and row.eval_split == "held_out" and row.probe_id in after
    ]


def questions(probes: Sequence[Probe]) -> list[Probe]:
    """Those that a model is asked; texts are only read by the feature diff."""
    return [probe for probe in probes if probe.kind != "text"]


def stretch(done: Done, start: float, end: float) -> Done:
    """What tells `done` about a part of the work: its 0 to 1 is `start` to `end` of the whole."""

    def told(share: float) -> None:
        done(start + (end - start) * share)

    return told


def variants(rows: Sequence[BehaviourRow], measure: str) -> list[str]:
    """Every variant that a measure has, in the order of the first of each."""
    return list(dict.fromkeys(row.variant for row in rows if row.measure == measure))
