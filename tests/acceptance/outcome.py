"""One diff by the engine, and what the lake has of it."""

from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from producers.events import DiffCompleted
from tests.acceptance.place import Place
from tests.acceptance.watching import Watch
from workers.base_cache import BaseCache
from workers.diff import DiffMaker
from workers.jobs import DiffJob
from workers.lake.schemas import table_to_rows
from workers.lake.tables import (
    BehaviourRow,
    CalibrationSummaryRow,
    EvalSplit,
    Model,
    ModelDiffRow,
    RunRow,
    SaeFeatureRow,
    SaeLayerRow,
)
from workers.lake.writer import Lake
from workers.settings import DiffSettings

PROJECT = "acceptance"
COMPLETED_AT = 1_767_225_600.0

Row = TypeVar("Row", bound=Struct)


class Outcome(Struct, frozen=True, kw_only=True):
    """Read back from the lake."""

    watch: Watch
    run: RunRow
    scores: list[ModelDiffRow]
    calibration: list[CalibrationSummaryRow]
    layers: list[SaeLayerRow]
    features: list[SaeFeatureRow]
    replies: list[BehaviourRow]

    def score(self, name: str, category: str | None = None) -> ModelDiffRow:
        """Of everything, or of a category."""
        scope = "overall" if category is None else "category"
        return next(row for row in self.scores if (row.score, row.scope, row.category) == (name, scope, category))

    def calibrated(self, model: Model, split: EvalSplit) -> CalibrationSummaryRow | None:
        """The summary of one model on one split, where there is one."""
        return next((row for row in self.calibration if (row.model, row.eval_split) == (model, split)), None)


def diff(place: Place, checkpoint: Path, lake: Path) -> Outcome:
    """Compare `checkpoint` with the base as a diff worker does. Raises `DiffError`."""
    settings = DiffSettings(lake=str(lake), model_roots=str(place.root), device="cpu")
    make = DiffMaker(settings, cache=BaseCache(Lake(settings.lake), None, None))
    job = DiffJob(
        run_id=checkpoint.name,
        project=PROJECT,
        base_model=str(place.base),
        checkpoint=str(checkpoint),
        completed_at=COMPLETED_AT,
        eval_set=str(place.probes),
        saes=tuple(map(str, sorted(place.saes.iterdir()))),
    )
    watch = Watch()
    event = watch.run(lambda: make(job, watch))
    read = _Reader(Lake(settings.lake), job, event)
    (run,) = read("runs", RunRow)
    return Outcome(
        watch=watch,
        run=run,
        scores=read("model_diff", ModelDiffRow),
        calibration=read("calibration_summary", CalibrationSummaryRow),
        layers=read("sae_layer_diff", SaeLayerRow),
        features=read("sae_feature_diff", SaeFeatureRow),
        replies=[row for row in read("behaviour_rows", BehaviourRow) if row.measure == "refused"],
    )


class _Reader:
    """Rows of one diff."""

    def __init__(self, lake: Lake, job: DiffJob, event: DiffCompleted) -> None:
        self._lake = lake
        self._job = job
        self._event = event

    def __call__(self, table: str, kind: type[Row]) -> list[Row]:
        stored = self._lake.read(
            table, project=PROJECT, day=self._job.day, run_id=self._job.run_id, diff_id=self._event.diff_id
        )
        assert stored is not None, f"the lake has no {table} of this diff"
        return table_to_rows(stored, kind)
