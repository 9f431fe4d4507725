"""What there is to show of one diff, read back from the lake's tables."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from producers.events import DiffCompleted
from workers.lake.tables import (
    CalibrationSummaryRow,
    EvalSplit,
    LowConfidenceRow,
    ModelDiffRow,
    RunRow,
    SaeLayerRow,
    Verdict,
)

if TYPE_CHECKING:
    from workers.lake.writer import Lake

HEADLINES = ("consistency", "robustness", "suppression", "accuracy")

Row = TypeVar("Row", bound=Struct)


class Score(Struct, frozen=True, kw_only=True):
    """One score of both models over all held-out probes."""

    score: str
    n: int
    base: float
    fine_tuned: float
    delta: float
    ci_low: float
    ci_high: float
    """95 % interval of `delta`"""
    higher_is_better: bool | None
    verdict: Verdict | None


class Layer(Struct, frozen=True, kw_only=True):
    """One SAE layer."""

    layer: int
    n_alive: int
    n_changed: int
    changed_share: float
    mean_abs_delta: float
    top_feature: int | None
    top_feature_label: str | None
    fvu_alarm: bool
    """the SAE no longer fits the fine-tune"""


class Calibration(Struct, frozen=True, kw_only=True):
    """The calibration error of both models on one split; `null_floor` is what perfect calibration would measure."""

    eval_split: EvalSplit
    n: int
    base_ece: float
    base_null_floor: float
    fine_tuned_ece: float
    fine_tuned_null_floor: float


class Figures(Struct, frozen=True, kw_only=True):
    """One diff."""

    event: DiffCompleted
    base_model: str
    checkpoint: str
    parameters: int
    n_probes: int
    scores: tuple[Score, ...]
    layers: tuple[Layer, ...]
    """most rewritten first"""
    calibration: tuple[Calibration, ...]
    low_confidence_rows: int
    lake: str
    file: str
    """each table has it below ``<lake>/<table>/``, until it is compacted: ``.parquet``, and one ``.jsonl``"""


def figures(lake: "Lake", root: str, day: str, event: DiffCompleted) -> Figures:
    """What the `lake`, shown as `root`, holds of the diff. Raises `TransientDiffError` where it cannot be read."""
    from workers.lake.paths import file_path
    from workers.lake.schemas import table_to_rows

    read = partial(lake.read, project=event.project, day=day, run_id=event.run_id, diff_id=event.diff_id)

    def rows(table: str, kind: type[Row]) -> list[Row]:
        found = read(table)
        return [] if found is None else table_to_rows(found, kind)

    (run,) = rows("runs", RunRow)
    path = file_path("", project=event.project, dt=day, run_id=event.run_id, diff_id=event.diff_id, suffix="")
    return Figures(
        event=event,
        base_model=run.base_model,
        checkpoint=run.checkpoint,
        parameters=run.parameters,
        n_probes=run.n_probes,
        scores=tuple(_scores(rows("model_diff", ModelDiffRow))),
        layers=tuple(_layers(rows("sae_layer_diff", SaeLayerRow), run.heaviest_layers)),
        calibration=tuple(_calibration(rows("calibration_summary", CalibrationSummaryRow))),
        low_confidence_rows=len(rows("low_confidence_rows", LowConfidenceRow)),
        lake=root,
        file=path.removeprefix("/"),
    )


def _scores(rows: Iterable[ModelDiffRow]) -> Iterable[Score]:
    overall = {row.score: row for row in rows if row.scope == "overall"}
    for row in (overall[name] for name in HEADLINES if name in overall):
        yield Score(
            score=row.score,
            n=row.n,
            base=row.base,
            fine_tuned=row.fine_tuned,
            delta=row.delta,
            ci_low=row.ci_low,
            ci_high=row.ci_high,
            higher_is_better=row.higher_is_better,
            verdict=row.verdict,
        )


def _layers(rows: Iterable[SaeLayerRow], heaviest: Sequence[int]) -> Iterable[Layer]:
    by_layer = {row.layer: row for row in rows}
    for row in (by_layer[layer] for layer in heaviest if layer in by_layer):
        yield Layer(
            layer=row.layer,
            n_alive=row.n_alive,
            n_changed=row.n_changed,
            changed_share=row.changed_share,
            mean_abs_delta=row.mean_abs_delta,
            top_feature=row.top_feature,
            top_feature_label=row.top_feature_label,
            fvu_alarm=row.fvu_alarm,
        )


def _calibration(rows: Iterable[CalibrationSummaryRow]) -> Iterable[Calibration]:
    of = {(row.model, row.eval_split): row for row in rows}
    for (model, split), before in of.items():
        after = of.get(("fine_tuned", split))
        if model == "base" and after is not None:
            yield Calibration(
                eval_split=split,
                n=after.n,
                base_ece=before.ece,
                base_null_floor=before.null_floor,
                fine_tuned_ece=after.ece,
                fine_tuned_null_floor=after.null_floor,
            )
