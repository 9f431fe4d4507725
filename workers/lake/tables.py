"""Every table of the lake, one struct a row: the one place that says what a column is.

`COMMON` columns are added by the writer. A row's field is a column of the same name: str → string, int → int64,
float → float64, bool → bool, ``tuple[str, ...]`` → list of string; optional is nullable.
"""

from typing import Literal

from msgspec import Struct

SCHEMA_VERSION = 1
"""of every file of the lake, those of the archive too"""

Model = Literal["base", "fine_tuned"]
Verdict = Literal["improved", "regressed", "unchanged"]
EvalSplit = Literal["held_out", "train"]
Scope = Literal["overall", "category", "topic"]
ConfidenceKind = Literal["choices", "greedy"]


class Common(Struct, frozen=True, kw_only=True):
    """What every row of every table begins with."""

    schema_version: int
    project: str
    dt: str
    """UTC day on which the run completed, YYYY-MM-DD"""
    run_id: str
    diff_id: str
    base_sha: str
    ft_sha: str
    config_hash: str
    created_at: float
    """Unix seconds at which the run completed; a timestamp (microseconds, UTC) in the file"""


class RunRow(Struct, frozen=True, kw_only=True):
    """`runs`: written last, so that a diff with a row here is whole."""

    attempt: int
    steps: int
    base_model: str
    checkpoint: str
    architecture: str
    parameters: int
    dtype: str
    probes_sha: str
    tokenizer_sha: str
    sae_shas: tuple[str, ...]
    code_version: str
    n_probes: int
    consistency_verdict: Verdict | None
    robustness_verdict: Verdict | None
    suppression_verdict: Verdict | None
    heaviest_layers: tuple[int, ...]
    """of the SAE layers, most rewritten first"""


class ModelDiffRow(Struct, frozen=True, kw_only=True):
    """`model_diff`: one score of both models, over everything, a category or a topic."""

    score: str
    """consistency, robustness, suppression, accuracy, or one of the figures stored beside them"""
    scope: Scope
    category: str | None
    topic: str | None
    unit: Literal["share", "nats", "ratio", "words"]
    higher_is_better: bool | None
    """None: it has no better and worse, and no verdict"""
    n: int
    base: float
    fine_tuned: float
    delta: float
    ci_low: float
    ci_high: float
    """95 % interval of the paired bootstrap of `delta`"""
    standard_error: float | None
    """of `fine_tuned`"""
    verdict: Verdict | None


class BehaviourRow(Struct, frozen=True, kw_only=True):
    """`behaviour_rows`: one figure of one model on one probe."""

    model: Model
    probe_id: str
    category: str
    topic: str | None
    kind: str
    eval_split: EvalSplit
    measure: str
    variant: str
    """which corruption, paraphrase or scorer; empty where there is but one"""
    value: float
    text: str | None
    """what the model said, where it said something"""


class CalibrationSummaryRow(Struct, frozen=True, kw_only=True):
    """`calibration_summary`: one model on one split."""

    model: Model
    eval_split: EvalSplit
    confidence_kind: Literal["choices", "greedy", "mixed"]
    n: int
    accuracy: float
    mean_confidence: float
    ece: float
    ece_ci_low: float
    ece_ci_high: float
    null_floor: float
    """the ECE that a perfectly calibrated model of these confidences would measure at this n"""
    mce: float
    ace: float
    """equal-mass bins"""
    mean_gap: float
    """over the bins that hold something, unweighted"""
    brier: float


class CalibrationBinRow(Struct, frozen=True, kw_only=True):
    """`calibration_bins`: one bin (lower, upper] of a reliability diagram."""

    model: Model
    eval_split: EvalSplit
    bin: int
    lower: float
    upper: float
    n: int
    accuracy: float | None
    confidence: float | None


class CalibrationTopicRow(Struct, frozen=True, kw_only=True):
    """`calibration_topics`: one model on one topic."""

    model: Model
    eval_split: EvalSplit
    category: str
    topic: str
    n: int
    is_small: bool
    """n < 30: nothing to go by"""
    accuracy: float
    mean_confidence: float
    ece: float
    ece_ci_low: float
    ece_ci_high: float
    null_floor: float


class LowConfidenceRow(Struct, frozen=True, kw_only=True):
    """`low_confidence_rows`: what the fine-tuned model is unsure of, labelled, ready to train on."""

    probe_id: str
    category: str
    topic: str | None
    eval_split: EvalSplit
    prompt: str
    answer: str
    """the right one"""
    given: str
    """the fine-tuned model's own"""
    correct: bool
    confidence: float
    base_confidence: float
    confidence_kind: ConfidenceKind


class SaeLayerRow(Struct, frozen=True, kw_only=True):
    """`sae_layer_diff`: one hooked layer. Thresholds are stored, so that SQL can draw the line elsewhere."""

    layer: int
    hook: str
    sae_sha: str
    n_features: int
    n_alive: int
    n_changed: int
    changed_share: float
    """of the features that are alive"""
    mean_abs_delta: float
    """over all features"""
    top_feature: int | None
    top_feature_label: str | None
    tokens: int
    fvu_base: float
    fvu_fine_tuned: float
    fvu_alarm: bool
    """the SAE no longer fits the fine-tune: what it says of this layer is in doubt"""
    min_tokens: int
    min_relative: float
    min_absolute: float


class SaeFeatureRow(Struct, frozen=True, kw_only=True):
    """`sae_feature_diff`: one feature that is alive in either model; sorted by layer and feature."""

    layer: int
    feature: int
    tokens: int
    base_sum: float
    ft_sum: float
    base_count: int
    """tokens on which it fires"""
    ft_count: int
    base_max: float
    ft_max: float
    delta_mean: float
    """of the mean over all tokens"""
    changed: bool
    label: str | None


class RegressionRow(Struct, frozen=True, kw_only=True):
    """`regressions`: a category in which a run scored more than five points below the one before it."""

    attempt: int
    signal_id: str
    category: str
    score: float
    prior_run_id: str
    prior_score: float
    drop_basis_points: int
    n: int
    prior_n: int
    standard_error: float
    """of the difference"""
    significant: bool


TABLES: dict[str, type[Struct]] = {
    "runs": RunRow,
    "model_diff": ModelDiffRow,
    "behaviour_rows": BehaviourRow,
    "sae_layer_diff": SaeLayerRow,
    "sae_feature_diff": SaeFeatureRow,
    "calibration_summary": CalibrationSummaryRow,
    "calibration_bins": CalibrationBinRow,
    "calibration_topics": CalibrationTopicRow,
    "low_confidence_rows": LowConfidenceRow,
    "regressions": RegressionRow,
}
"""name → row"""
