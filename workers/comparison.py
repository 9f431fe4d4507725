"""Two measurements → every row that the lake keeps of a diff, and the event that tells of it. Pure."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from msgspec import Struct

from producers.events import CategoryScore, DiffCompleted, ScoreChange
from workers.behaviour import compare as behaviour
from workers.calibration import compare as calibration
from workers.lake.tables import Common, LowConfidenceRow, ModelDiffRow, RunRow, SaeLayerRow, Verdict
from workers.measurement import Measurement
from workers.sae import compare as features
from workers.sae.compare import Thresholds

_MAX_SCORES = 64
_MAX_CATEGORIES = 256
"""of a `DiffCompleted`"""

Labels = Mapping[int, Mapping[int, str]]
"""layer → feature → label"""


class Comparison(Struct, frozen=True, kw_only=True):
    """What a diff says."""

    tables: Mapping[str, pa.Table | Sequence[Struct]]
    """every table of a diff but `runs`"""
    scores: tuple[ModelDiffRow, ...]
    layers: tuple[SaeLayerRow, ...]
    low_confidence: tuple[LowConfidenceRow, ...]

    def verdict(self, score: str) -> Verdict | None:
        """Of `score` over everything; None where it could not be measured."""
        return next((row.verdict for row in self.scores if (row.score, row.scope) == (score, "overall")), None)

    @property
    def heaviest_layers(self) -> tuple[int, ...]:
        """Of the SAE layers, most rewritten first."""
        return features.heaviest_layers(self.layers)


def compare(
    base: Measurement, fine_tuned: Measurement, *, thresholds: Thresholds, low_confidence_below: float, labels: Labels
) -> Comparison:
    """Hold the two against each other. Raises `DiffError` where they were measured with different SAEs or tokens."""
    scores = (
        *behaviour.compare(base.behaviour, fine_tuned.behaviour),
        *behaviour.accuracy(base.answers, fine_tuned.answers, base.behaviour, fine_tuned.behaviour),
    )
    calibrated = calibration.compare(base.answers, fine_tuned.answers, low_confidence_below)
    layers = [
        features.compare(before, after, thresholds, labels.get(after.layer, {}))
        for before, after in zip(base.layers, fine_tuned.layers, strict=True)
    ]
    rows = tuple(layer.row for layer in layers)
    return Comparison(
        tables={
            "model_diff": scores,
            "behaviour_rows": (*base.behaviour, *fine_tuned.behaviour),
            "calibration_summary": calibrated.summary,
            "calibration_bins": calibrated.bins,
            "calibration_topics": calibrated.topics,
            "low_confidence_rows": calibrated.low_confidence,
            "sae_layer_diff": rows,
            "sae_feature_diff": pa.concat_tables(
                [features.FEATURE_SCHEMA.empty_table(), *(layer.features for layer in layers)]
            ),
        },
        scores=scores,
        layers=rows,
        low_confidence=calibrated.low_confidence,
    )


def completed(common: Common, run: RunRow, scores: Sequence[ModelDiffRow]) -> DiffCompleted:
    """The event of a diff whose rows these are."""
    overall = [row for row in scores if row.scope == "overall" and row.verdict is not None]
    categories = [row for row in scores if (row.score, row.scope) == ("accuracy", "category")]
    return DiffCompleted(
        run_id=common.run_id,
        ts=common.created_at,
        diff_id=common.diff_id,
        base_sha=common.base_sha,
        ft_sha=common.ft_sha,
        probes_sha=run.probes_sha,
        attempt=run.attempt,
        project=common.project,
        scores=tuple(
            ScoreChange(score=row.score, base=row.base, fine_tuned=row.fine_tuned, verdict=row.verdict)
            for row in overall[:_MAX_SCORES]
            if row.verdict is not None
        ),
        categories=tuple(
            CategoryScore(
                category=row.category or "", score=row.fine_tuned, n=row.n, standard_error=row.standard_error or 0.0
            )
            # The largest ones, where there are more than an event holds.
            for row in sorted(categories, key=lambda row: (-row.n, row.category))[:_MAX_CATEGORIES]
        ),
        heaviest_layers=run.heaviest_layers,
    )
