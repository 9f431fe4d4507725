"""The latest model diff of a run."""

from msgspec import Struct
from msgspec.structs import replace

from streakline.report.asking import Asked
from streakline.report.clipping import LABEL, TEXT, clipped
from streakline.report.content import LOW_CONFIDENCE_SHOWN, Diff
from streakline.report.grid import grid
from streakline.report.histories import Series, histories_of
from streakline.report.life import Life
from workers.lake.statements import quoted
from workers.lake.tables import (
    CalibrationBinRow,
    CalibrationSummaryRow,
    CalibrationTopicRow,
    LowConfidenceRow,
    ModelDiffRow,
    SaeLayerRow,
)
from workers.lake.views import Within

_OF_ONE_DIFF = (
    "sae_layer_diff",
    "sae_feature_diff",
    "calibration_summary",
    "calibration_bins",
    "calibration_topics",
    "low_confidence_rows",
)
_OF_THE_PROJECT = ("model_diff", "regressions")
"""the runs before it are shown as well"""
_WIDEST_FIRST = "CASE scope WHEN 'overall' THEN 0 WHEN 'category' THEN 1 ELSE 2 END"


class Made(Struct, frozen=True, kw_only=True):
    """What `runs` says of a diff."""

    diff_id: str
    dt: str
    base_sha: str
    ft_sha: str
    attempt: int
    base_model: str
    checkpoint: str
    architecture: str
    parameters: int
    dtype: str
    probes_sha: str
    n_probes: int
    heaviest_layers: tuple[int, ...]
    completed_at: float


def made_of(asked: Asked, life: Life) -> Made | None:
    """Of the latest diff; None where there is none. Raises QueryError."""
    if not asked.has("runs"):
        return None
    own = f"run_id = {quoted(life.run_id)} AND project = {quoted(life.project)}"
    sql = f"SELECT *, epoch(created_at) AS completed_at FROM runs WHERE {own} ORDER BY created_at DESC, diff_id DESC"
    found = asked.typed(asked.table(f"{sql} LIMIT 1"), Made)
    return found[0] if found else None


def diff_of(asked: Asked, life: Life, made: Made) -> Diff:
    """All that was measured. Raises QueryError."""
    # In this order, for both see `runs`, and what is asked of it is the project's.
    asked.narrow(Within(project=life.project, dt=made.dt), _OF_ONE_DIFF)
    asked.narrow(Within(project=life.project), _OF_THE_PROJECT)
    own = f"run_id = {quoted(life.run_id)} AND project = {quoted(life.project)} AND diff_id = {quoted(made.diff_id)}"
    before = asked.left_out
    layers = asked.rows("sae_layer_diff", SaeLayerRow, f"WHERE {own} ORDER BY layer")
    series = Series(project=life.project, base_sha=made.base_sha, probes_sha=made.probes_sha)
    unsure = asked.rows(
        "low_confidence_rows",
        LowConfidenceRow,
        f"WHERE {own} ORDER BY confidence, probe_id LIMIT {LOW_CONFIDENCE_SHOWN}",
    )
    return Diff(
        diff_id=made.diff_id,
        base_model=clipped(made.base_model, TEXT),
        base_sha=made.base_sha,
        checkpoint=clipped(made.checkpoint, TEXT),
        ft_sha=made.ft_sha,
        architecture=clipped(made.architecture, LABEL),
        parameters=made.parameters,
        dtype=clipped(made.dtype, LABEL),
        n_probes=made.n_probes,
        scores=asked.rows("model_diff", ModelDiffRow, f"WHERE {own} ORDER BY {_WIDEST_FIRST}, score, category, topic"),
        layers=grid(asked, own, tuple(map(_shortened, layers))),
        heaviest_layers=made.heaviest_layers,
        histories=histories_of(asked, series, made.diff_id),
        calibration=asked.rows("calibration_summary", CalibrationSummaryRow, f"WHERE {own} ORDER BY eval_split, model"),
        bins=asked.rows("calibration_bins", CalibrationBinRow, f"WHERE {own} ORDER BY eval_split, model, bin"),
        topics=asked.rows(
            "calibration_topics", CalibrationTopicRow, f"WHERE {own} ORDER BY eval_split, category, topic, model"
        ),
        low_confidence=tuple(map(_readable, unsure)),
        low_confidence_total=_unsure(asked, own),
        attempt=made.attempt,
        left_out=asked.left_out - before,
    )


def _unsure(asked: Asked, own: str) -> int:
    if not asked.has("low_confidence_rows"):
        return 0
    (n,) = asked.column(f"SELECT count(*) FROM low_confidence_rows WHERE {own}")
    return int(n)


def _shortened(row: SaeLayerRow) -> SaeLayerRow:
    label = row.top_feature_label
    return row if label is None else replace(row, top_feature_label=clipped(label, LABEL))


def _readable(row: LowConfidenceRow) -> LowConfidenceRow:
    return replace(
        row,
        probe_id=clipped(row.probe_id, LABEL),
        prompt=clipped(row.prompt, TEXT),
        answer=clipped(row.answer, TEXT),
        given=clipped(row.given, TEXT),
    )
