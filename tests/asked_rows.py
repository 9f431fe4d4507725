"""Rows of which a question may make something; what nobody asks of them is anything."""

import msgspec

from producers.events import Severity, Signal, SignalType
from tests.unit.workers.lake.rows import RowT, some_rows
from workers.lake.tables import (
    BehaviourRow,
    CalibrationSummaryRow,
    CalibrationTopicRow,
    LowConfidenceRow,
    ModelDiffRow,
    RegressionRow,
    RunRow,
    SaeFeatureRow,
    SaeLayerRow,
    Verdict,
)


def made(kind: type[RowT], **known: object) -> RowT:
    (row,) = some_rows(kind, 1)
    return msgspec.structs.replace(row, **known)


def run_row(name: str, base: str) -> RunRow:
    return made(RunRow, base_model=base, checkpoint=f"/runs/{name}", steps=201)


def score_row(score: str, category: str | None, value: float, verdict: Verdict) -> ModelDiffRow:
    return made(
        ModelDiffRow,
        score=score,
        scope="category" if category else "overall",
        category=category,
        topic=None,
        base=0.5,
        fine_tuned=value,
        delta=value - 0.5,
        verdict=verdict,
        higher_is_better=True,
        n=100,
        ci_low=value - 0.55,
        ci_high=value - 0.45,
    )


def gold_row(model: str, probe: str, value: float) -> BehaviourRow:
    return made(
        BehaviourRow,
        model=model,
        probe_id=probe,
        category="factual",
        measure="gold_probability",
        variant="clean",
        value=value,
        eval_split="held_out",
        topic=None,
    )


def calibration_row(model: str, ece: float) -> CalibrationSummaryRow:
    return made(
        CalibrationSummaryRow,
        model=model,
        eval_split="held_out",
        n=300,
        ece=ece,
        null_floor=0.06,
        accuracy=0.6,
        mean_confidence=0.6 + ece,
    )


def topic_row(topic: str, n: int, ece: float) -> CalibrationTopicRow:
    return made(
        CalibrationTopicRow,
        model="fine_tuned",
        eval_split="held_out",
        category="factual",
        topic=topic,
        n=n,
        is_small=n < 30,
        ece=ece,
        null_floor=0.1,
    )


def unsure_row(topic: str, probe: str) -> LowConfidenceRow:
    return made(
        LowConfidenceRow,
        probe_id=probe,
        topic=topic,
        prompt=f"What of {probe}?",
        confidence=0.25,
        correct=False,
    )


def layer_row(layer: int, share: float, *, alarm: bool) -> SaeLayerRow:
    return made(
        SaeLayerRow,
        layer=layer,
        changed_share=share,
        fvu_alarm=alarm,
        n_alive=100,
        n_changed=round(100 * share),
    )


def feature_row(layer: int, feature: int, shift: float) -> SaeFeatureRow:
    return made(
        SaeFeatureRow,
        layer=layer,
        feature=feature,
        delta_mean=shift,
        changed=abs(shift) >= 0.2,
        label=f"' token {feature}'",
    )


def regression_row(value: float, prior_run: str, prior_score: float, n: int, significant: bool) -> RegressionRow:
    return made(
        RegressionRow,
        category="code",
        score=value,
        prior_run_id=prior_run,
        prior_score=prior_score,
        n=n,
        significant=significant,
        drop_basis_points=round(10_000 * (prior_score - value)),
        prior_n=n,
    )


def signal_of(run_id: str, step: int, type_: SignalType, severity: Severity, ts: float) -> Signal:
    return Signal(
        signal_id=f"{run_id}/0/{step}/{type_}",
        run_id=run_id,
        project="assistant",
        attempt=0,
        step=step,
        ts=ts,
        type=type_,
        severity=severity,
        metric="max_grad",
        value=30.0,
        threshold=5.0,
        layers=None,
        epoch=None,
        message="told",
        action=None,
    )
