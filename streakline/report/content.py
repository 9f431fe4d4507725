"""What a report says, as typed values: read from the lake by `streakline.report.reading`, drawn by the page.

Every float is finite; what was not is None, and counted. Times are Unix seconds.
"""

from typing import Literal

from msgspec import Struct

from producers.events import Severity
from workers.lake.tables import (
    CalibrationBinRow,
    CalibrationSummaryRow,
    CalibrationTopicRow,
    LowConfidenceRow,
    ModelDiffRow,
    SaeLayerRow,
)

LOW_CONFIDENCE_SHOWN = 200
SCOPES_SHOWN = 200
"""categories or topics in a table: whoever writes the probes decides how many there are"""
SIGNALS_SHOWN = 2000

Ending = Literal["running", "completed", "failed"]
Gravity = Literal["bad", "doubtful", "good", "neutral"]


class Timeline(Struct, frozen=True, kw_only=True):
    """The steps of one attempt, thinned so that every spike is still there; all three columns are equally long."""

    attempt: int
    steps: tuple[int, ...]
    loss: tuple[float | None, ...]
    max_grad: tuple[float | None, ...]
    total_steps: int
    """before thinning"""
    non_finite: int
    """steps whose loss or gradient norm was not a number, among all"""


class Marker(Struct, frozen=True, kw_only=True):
    """One signal."""

    attempt: int
    step: int
    ts: float
    type: str
    severity: Severity
    value: float | None
    threshold: float | None
    layers: tuple[str, ...]
    message: str


class SaeCell(Struct, frozen=True, kw_only=True, array_like=True):
    """A cell of the grid in which something changed; cells in which nothing did are left out."""

    cell: int
    changed: int
    """features in it that changed"""
    feature: int
    """of those, the one that moved most"""
    delta_mean: float
    """of that one"""
    label: str | None


class SaeLayer(Struct, frozen=True, kw_only=True):
    """One row of the grid."""

    summary: SaeLayerRow
    features_per_cell: int
    n_cells: int
    cells: tuple[SaeCell, ...]


class CategoryPoint(Struct, frozen=True, kw_only=True):
    """What one run scored in a category."""

    run_id: str
    diff_id: str
    completed_at: float
    score: float
    n: int
    standard_error: float | None
    regressed: bool
    drop_basis_points: int | None
    """where it regressed"""
    significant: bool | None
    """the same"""
    prior_run_id: str | None = None
    """the same: the run that it fell behind"""


class CategoryHistory(Struct, frozen=True, kw_only=True):
    """A category over the project's runs, in order of completion; those of other probes or another base left out."""

    category: str
    points: tuple[CategoryPoint, ...]


class Diff(Struct, frozen=True, kw_only=True):
    """A model diff of the run. What the worker did not measure is empty."""

    diff_id: str
    base_model: str
    base_sha: str
    checkpoint: str
    ft_sha: str
    architecture: str
    parameters: int
    dtype: str
    n_probes: int
    scores: tuple[ModelDiffRow, ...]
    layers: tuple[SaeLayer, ...]
    heaviest_layers: tuple[int, ...]
    histories: tuple[CategoryHistory, ...]
    calibration: tuple[CalibrationSummaryRow, ...]
    bins: tuple[CalibrationBinRow, ...]
    topics: tuple[CalibrationTopicRow, ...]
    low_confidence: tuple[LowConfidenceRow, ...]
    """those of the lowest confidence, at most `LOW_CONFIDENCE_SHOWN`"""
    low_confidence_total: int
    attempt: int = 0
    """whose checkpoint it is of; 0 where it was made by hand"""
    left_out: int = 0
    """rows with a figure that is no number, which are in none of the above"""


class Finding(Struct, frozen=True, kw_only=True):
    """Something a reader should know, and what to do about it."""

    gravity: Gravity
    text: str
    """one sentence"""
    command: str | None
    """the exact next step, for a POSIX shell"""
    section: Literal["timeline", "signals", "scores", "features", "regressions", "calibration", "low-confidence"]
    """where on the page it is shown"""


class Report(Struct, frozen=True, kw_only=True):
    """Everything on the page."""

    run_id: str
    project: str
    attempt: int
    """the latest"""
    ending: Ending
    error: str | None
    """of a run that failed"""
    started: float | None
    ended: float | None
    config: dict[str, str]
    base_model: str | None
    verdict: str
    """a sentence"""
    gravity: Gravity
    findings: tuple[Finding, ...]
    timelines: tuple[Timeline, ...]
    """by attempt, oldest first; empty where no steps were archived"""
    signals: tuple[Marker, ...]
    """in order of attempt and step; at most `SIGNALS_SHOWN`, the gravest kept"""
    signals_total: int
    diff: Diff | None
    """the latest of the run; None where there is none yet"""
    checkpoint: str | None = None
    """what the run said it left behind"""
