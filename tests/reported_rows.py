"""Rows as a diff worker writes them, with figures that fit together; for lakes that reports are made of."""

import math
from collections.abc import Iterator, Sequence

from workers.lake.tables import (
    BehaviourRow,
    CalibrationBinRow,
    CalibrationSummaryRow,
    CalibrationTopicRow,
    EvalSplit,
    LowConfidenceRow,
    Model,
    ModelDiffRow,
    RegressionRow,
    RunRow,
    SaeFeatureRow,
    SaeLayerRow,
    Verdict,
)

BINS = 15
FEATURES = 16_384
"""of an SAE; one in four is alive"""
ALIVE_EVERY = 4


def run_row(name: str, *, attempt: int = 0, probes_sha: str = "a1" * 8, heaviest: Sequence[int] = ()) -> RunRow:
    return RunRow(
        attempt=attempt,
        steps=3000,
        base_model="models/base-1b",
        checkpoint=f"runs/{name}",
        architecture="LlamaForCausalLM",
        parameters=1_235_814_400,
        dtype="bfloat16",
        probes_sha=probes_sha,
        tokenizer_sha="70" * 8,
        sae_shas=("5a" * 8,) * len(heaviest),
        code_version="streakline-measures 1, torch 2.13.0, transformers 5.17.0",
        n_probes=341,
        consistency_verdict="unchanged",
        robustness_verdict="unchanged",
        suppression_verdict="unchanged",
        heaviest_layers=tuple(heaviest),
    )


def score_row(
    score: str,
    base: float,
    fine_tuned: float,
    *,
    category: str | None = None,
    topic: str | None = None,
    n: int = 200,
    half_width: float = 0.05,
    higher_is_better: bool | None = True,
) -> ModelDiffRow:
    """`half_width` is of the interval, around the delta."""
    delta = fine_tuned - base
    low, high = delta - half_width, delta + half_width
    verdict: Verdict = "unchanged"
    if low > 0 or high < 0:
        verdict = "improved" if (delta > 0) == higher_is_better else "regressed"
    return ModelDiffRow(
        score=score,
        scope="topic" if topic else "category" if category else "overall",
        category=category,
        topic=topic,
        unit="share",
        higher_is_better=higher_is_better,
        n=n,
        base=base,
        fine_tuned=fine_tuned,
        delta=delta,
        ci_low=low,
        ci_high=high,
        standard_error=math.sqrt(fine_tuned * (1 - fine_tuned) / n),
        verdict=None if higher_is_better is None else verdict,
    )


def layer_row(layer: int, changed: int, *, alarm: bool = False) -> SaeLayerRow:
    return SaeLayerRow(
        layer=layer,
        hook=f"blocks.{layer}.hook_resid_post",
        sae_sha="5a" * 8,
        n_features=FEATURES,
        n_alive=FEATURES // ALIVE_EVERY,
        n_changed=changed,
        changed_share=changed / (FEATURES // ALIVE_EVERY),
        mean_abs_delta=0.01 * layer,
        top_feature=0 if changed else None,
        top_feature_label=feature_label(0) if changed else None,
        tokens=12_000,
        fvu_base=0.2,
        fvu_fine_tuned=0.41 if alarm else 0.21,
        fvu_alarm=alarm,
        min_tokens=20,
        min_relative=0.25,
        min_absolute=0.001,
    )


def feature_label(feature: int) -> str:
    return "<b>“ Paris”</b>, 'Seine'" if feature == 0 else f"' token {feature}'"


def feature_rows(layer: int, changed: int) -> Iterator[SaeFeatureRow]:
    """Those that are alive; of them the first `changed` changed, feature 0 most."""
    for number, feature in enumerate(range(0, FEATURES, ALIVE_EVERY)):
        moved = (2.0 if number == 0 else 0.5 + number / FEATURES) * (-1) ** number if number < changed else 0.0
        yield SaeFeatureRow(
            layer=layer,
            feature=feature,
            tokens=12_000,
            base_sum=1000.0,
            ft_sum=1000.0 + 12_000 * moved,
            base_count=400,
            ft_count=500,
            base_max=4.0,
            ft_max=5.0,
            delta_mean=moved,
            changed=number < changed,
            label=None if number % 3 == 1 else feature_label(feature),
        )


def calibration_rows(
    model: Model, split: EvalSplit, *, ece: float, accuracy: float, n: int = 300
) -> tuple[CalibrationSummaryRow, list[CalibrationBinRow]]:
    """A model that is too sure of itself by `ece` in every bin."""
    bins = []
    for number in range(BINS):
        held = 0 if number in {0, 3} else n // (BINS - 2)
        confidence = (number + 0.5) / BINS
        bins.append(
            CalibrationBinRow(
                model=model,
                eval_split=split,
                bin=number,
                lower=number / BINS,
                upper=(number + 1) / BINS,
                n=held,
                accuracy=max(0.0, confidence - ece) if held else None,
                confidence=confidence if held else None,
            )
        )
    summary = CalibrationSummaryRow(
        model=model,
        eval_split=split,
        confidence_kind="greedy",
        n=n,
        accuracy=accuracy,
        mean_confidence=accuracy + ece,
        ece=ece,
        ece_ci_low=max(0.0, ece - 0.04),
        ece_ci_high=ece + 0.04,
        null_floor=0.06,
        mce=min(1.0, 2 * ece),
        ace=ece,
        mean_gap=ece,
        brier=0.2,
    )
    return summary, bins


def topic_row(model: Model, category: str, topic: str, ece: float, n: int) -> CalibrationTopicRow:
    return CalibrationTopicRow(
        model=model,
        eval_split="held_out",
        category=category,
        topic=topic,
        n=n,
        is_small=n < 30,
        accuracy=0.6,
        mean_confidence=0.6 + ece,
        ece=ece,
        ece_ci_low=max(0.0, ece - 0.08),
        ece_ci_high=ece + 0.08,
        null_floor=0.09 if n >= 30 else 0.2,
    )


def unsure_row(number: int, text: str) -> LowConfidenceRow:
    return LowConfidenceRow(
        probe_id=f"probe-{number:03}",
        category="factual",
        topic=None if number % 5 == 0 else "rivers",
        eval_split="held_out",
        prompt=f"What of {text}?",
        answer=text,
        given=f"not {text}",
        correct=number % 7 == 0,
        confidence=0.1 + 0.0015 * number,
        base_confidence=0.6,
        confidence_kind="greedy",
    )


def probe_rows(category: str, probes: Sequence[str], base: float, fine_tuned: float) -> Iterator[BehaviourRow]:
    """How probable each found the right answer."""
    sides: tuple[tuple[Model, float], ...] = (("base", base), ("fine_tuned", fine_tuned))
    for model, value in sides:
        for probe in probes:
            yield BehaviourRow(
                model=model,
                probe_id=probe,
                category=category,
                topic=None,
                kind="factual",
                eval_split="held_out",
                measure="gold_probability",
                variant="clean",
                value=value,
                text=None,
            )


def regression_row(category: str, score: float, prior: str, prior_score: float, *, significant: bool) -> RegressionRow:
    return RegressionRow(
        attempt=0,
        signal_id=f"x/0/3000/category_regressed/{category}",
        category=category,
        score=score,
        prior_run_id=prior,
        prior_score=prior_score,
        drop_basis_points=round(10_000 * (prior_score - score)),
        n=200,
        prior_n=200,
        standard_error=0.04,
        significant=significant,
    )
