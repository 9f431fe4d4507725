"""A lake of one project with a run for each kind of report, written by the real writers.

`ReportedLake.run` has everything: two attempts, signals of most types, a diff with SAE layers, calibration on both
splits, regressions, and hostile text wherever text can be. The others lack something each.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from producers.events import CategoryRegression, RunCompleted, RunFailed, RunStarted, Severity, Signal, StepEvent
from producers.events import SignalType as Type
from tests.archived import write_events
from tests.reported_rows import (
    calibration_rows,
    feature_rows,
    layer_row,
    probe_rows,
    regression_row,
    run_row,
    score_row,
    topic_row,
    unsure_row,
)
from workers.archive.rows import ArchivedEvent
from workers.lake.tables import SCHEMA_VERSION, Common, EvalSplit, Model
from workers.lake.writer import Lake

PROJECT = "assistant"
BASE_SHA, OTHER_BASE_SHA = "ba5e" * 4, "0d0d" * 4
PROBES_SHA, OTHER_PROBES_SHA = "a1" * 8, "b2" * 8
FIRST_DAY = 1_767_225_600.0
"""2026-01-01, UTC"""
HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    'it\'s "quoted" `and` $(run) \\ {{ 7 * 7 }} <!-- ',
    "\u202eright to left\u202c שלום عليكم",
    "👩‍🚀 emoji",
    "line\nends\r\n\u2028and\u2029 more",
    "long " * 2000,
)
HOSTILE_CATEGORY = '<i>it\'s</i> "odd" & 100 % $HOME'
CATEGORIES = ("code", "factual", "refusal", HOSTILE_CATEGORY)
HOSTILE_LAYER = "model.layers.0.self_attn.'q'<b>"
SAE_LAYERS = {4: 20, 8: 600, 12: 3000}
"""layer → features that changed; the SAE of the last no longer fits"""
UNSURE = 250


class ReportedLake(Struct, frozen=True, kw_only=True):
    """Where it is, and which run is which."""

    root: Path
    project: str = PROJECT
    run: str = "sft-6"
    """the one with everything"""
    diff_id: str = f"{6:016x}"
    """its latest diff; it has an older one"""
    attempts: tuple[int, int] = (1, 2)
    """its own; the second began again at an earlier step"""
    sequence: tuple[str, ...] = ("sft-1", "sft-2", "sft-4", "sft-5", "sft-6")
    """runs of the same base and probes, in the order in which they completed"""
    other_probes: str = "sft-3"
    """one between them, asked something else"""
    improved: str = "sft-2"
    """better, and nothing is wrong with it"""
    failed: str = "failed-1"
    """no diff"""
    running: str = "running-1"
    """no end yet"""
    unchanged: str = "same-1"
    """a base against itself; nothing of it is archived"""
    awkward: str = ".."
    """a run id that a path must not be made of; steps only"""


def write(root: Path) -> ReportedLake:
    """All of it, below `root`."""
    lake, known = Lake(str(root)), ReportedLake(root=root)
    for day, name in enumerate(("sft-1", "sft-2", "sft-3", "sft-4", "sft-5")):
        is_other = name == known.other_probes
        _write_small_diff(lake, name, day, probes_sha=OTHER_PROBES_SHA if is_other else PROBES_SHA)
    _write_small_diff(lake, known.run, 5, number=5)
    _write_large_diff(lake, known)
    _write_small_diff(lake, known.unchanged, 7, moved=0.0, base_sha=OTHER_BASE_SHA)
    write_events(lake, list(_events(known)))
    return known


def _common(name: str, day: int, number: int, base_sha: str = BASE_SHA) -> Common:
    at = FIRST_DAY + 86_400 * day + 7200
    return Common(
        schema_version=SCHEMA_VERSION,
        project=PROJECT,
        dt=f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}",
        run_id=name,
        diff_id=f"{number:016x}",
        base_sha=base_sha,
        ft_sha=f"{number:04x}" * 4,
        config_hash="c0" * 8,
        created_at=at,
    )


def _write_small_diff(
    lake: Lake,
    name: str,
    day: int,
    *,
    number: int | None = None,
    moved: float = 0.1,
    base_sha: str = BASE_SHA,
    probes_sha: str = PROBES_SHA,
) -> None:
    """Scores alone."""
    own = _common(name, day, day + 1 if number is None else 10 + number, base_sha)
    rise = moved + day / 100 if moved else 0.0
    rows: dict[str, list[Struct]] = {
        "model_diff": [
            *(
                score_row(score, 0.5, 0.5 + (moved if score == "accuracy" else 0.0), half_width=0.04 if moved else 0.0)
                for score in ("consistency", "robustness", "accuracy")
            ),
            *(
                score_row("accuracy", 0.5, 0.5 + rise, category=category, half_width=rise / 2)
                for category in CATEGORIES
            ),
        ],
        "behaviour_rows": [
            *probe_rows("code", ["loops", HOSTILE[1]], 0.6, 0.8),
            *probe_rows(HOSTILE_CATEGORY, [HOSTILE[0]], 0.6, 0.8),
        ],
        "runs": [run_row(name, probes_sha=probes_sha)],
    }
    for table, own_rows in rows.items():
        lake.write(table, own_rows, own)


def _write_large_diff(lake: Lake, known: ReportedLake) -> None:
    own = _common(known.run, 6, 6)
    calibrated: list[tuple[Model, EvalSplit, float]] = [
        ("base", "held_out", 0.09),
        ("fine_tuned", "held_out", 0.24),
        ("base", "train", 0.08),
        ("fine_tuned", "train", 0.01),
    ]
    measured = [calibration_rows(model, split, ece=ece, accuracy=0.6) for model, split, ece in calibrated]
    models: tuple[Model, Model] = ("base", "fine_tuned")
    rows: dict[str, list[Struct]] = {
        "model_diff": [
            score_row("consistency", 0.78, 0.86),
            score_row("robustness", 0.30, 0.18),
            score_row("suppression", 0.20, 0.21, higher_is_better=False),
            score_row("accuracy", 0.50, 0.62),
            score_row("mean_kl", 0.4, 0.7, higher_is_better=None),
            score_row("robustness", 0.30, 0.10, category="code"),
            score_row("accuracy", 0.50, 0.38, category="code"),
            score_row("accuracy", 0.50, 0.71, category="factual"),
            score_row("accuracy", 0.50, 0.64, category="refusal", n=20, half_width=0.3),
            score_row("accuracy", 0.50, 0.55, category=HOSTILE_CATEGORY, n=20, half_width=0.3),
            score_row("accuracy", 0.50, 0.71, category="factual", topic="rivers", n=40),
        ],
        "behaviour_rows": [
            *probe_rows("code", ["loops", HOSTILE[1]], 0.6, 0.1),
            *probe_rows(HOSTILE_CATEGORY, [HOSTILE[0]], 0.6, 0.3),
        ],
        "calibration_summary": [summary for summary, _ in measured],
        "calibration_bins": [row for _, bins in measured for row in bins],
        "calibration_topics": [
            topic_row(model, category, topic, 0.1 + number * 0.05 + (model == "fine_tuned") * 0.1, n)
            for model in models
            for number, (category, topic, n) in enumerate(
                [("factual", "rivers", 40), ("factual", HOSTILE[0], 60), ("code", "loops", 12)]
            )
        ],
        "low_confidence_rows": [unsure_row(number, HOSTILE[number % len(HOSTILE)]) for number in range(UNSURE)],
        "sae_layer_diff": [layer_row(layer, changed, alarm=layer == 12) for layer, changed in SAE_LAYERS.items()],
        "sae_feature_diff": [row for layer, changed in SAE_LAYERS.items() for row in feature_rows(layer, changed)],
        "regressions": [
            regression_row("code", 0.38, "sft-5", 0.64, significant=True),
            regression_row(HOSTILE_CATEGORY, 0.55, "sft-5", 0.64, significant=False),
        ],
        "runs": [run_row(known.run, attempt=known.attempts[1], heaviest=(12, 8, 4))],
    }
    for table, own_rows in rows.items():
        lake.write(table, own_rows, own)


def _events(known: ReportedLake) -> Iterator[ArchivedEvent]:
    first, second = known.attempts
    at = FIRST_DAY + 86_400 * 6
    config = {"learning_rate": "2e-5", "note <b>": HOSTILE[0], "quoted": HOSTILE[1]}
    for attempt, start, stop in ((first, 0, 1500), (second, 1000, 3000)):
        yield RunStarted(
            run_id=known.run,
            project=PROJECT,
            ts=at + start,
            attempt=attempt,
            base_model="models/base-1b",
            config=config,
        )
        for step in range(start, stop):
            yield _step(known.run, attempt, step, at + step, is_broken=attempt == first and step >= 1480)
    yield RunFailed(run_id=known.run, project=PROJECT, ts=at + 1501, attempt=first, error=f"killed {HOSTILE[0]}")
    yield RunCompleted(
        run_id=known.run,
        project=PROJECT,
        ts=at + 7200,
        attempt=second,
        steps=3000,
        base_model="models/base-1b",
        checkpoint="runs/sft-6",
    )
    yield _signal(known.run, first, 700, "gradient_spike", "warning", at)
    yield _signal(known.run, first, 1300, "gradient_spike", "critical", at)
    yield _signal(known.run, first, 1450, "loss_diverging", "critical", at, HOSTILE[0])
    yield _signal(known.run, first, 1480, "non_finite", "critical", at, value=math.nan)
    yield _signal(known.run, second, 1700, "gradient_spike", "warning", at, HOSTILE[1])
    yield _signal(known.run, second, 2000, "dead_layers", "warning", at, layers={HOSTILE_LAYER: 9, "lm_head": 5})
    yield _signal(known.run, second, 2800, "loss_plateau", "info", at, HOSTILE[2])
    for category, drop, significant in (("code", 2600, True), (HOSTILE_CATEGORY, 900, False)):
        yield _regressed(known, category, drop, significant, at + 7200)

    yield RunStarted(run_id=known.failed, project=PROJECT, ts=at, config={"learning_rate": "1"})
    yield from (_step(known.failed, 0, step, at + step, is_broken=False) for step in range(60))
    yield _signal(known.failed, 0, 41, "loss_diverging", "critical", at)
    yield RunFailed(run_id=known.failed, project=PROJECT, ts=at + 60, error=f"CUDA out of memory\n{HOSTILE[0]}")

    yield RunStarted(run_id=known.improved, project=PROJECT, ts=FIRST_DAY + 86_400, base_model="models/base-1b")
    yield from (_step(known.improved, 0, step, FIRST_DAY + 86_400 + step, is_broken=False) for step in range(200))
    yield RunCompleted(run_id=known.improved, project=PROJECT, ts=FIRST_DAY + 93_600, steps=200)

    yield RunStarted(run_id=known.running, project=PROJECT, ts=at, config={})
    yield from (_step(known.running, 0, step, at + step, is_broken=False) for step in range(60))
    yield from (_step(known.awkward, 0, step, at + step, is_broken=False) for step in range(5))


def _step(run_id: str, attempt: int, step: int, ts: float, *, is_broken: bool) -> StepEvent:
    loss = 0.8 + 2.2 * math.exp(-step / 700) + 0.05 * math.sin(step * 1.7)
    norm = 25.0 if step in {700, 1300, 1700} else 1.0 + 0.2 * math.sin(step)
    # Of one run the largest is among the layers' norms only.
    of_layers: dict[str, float | None] = {"lm_head": norm / 2, HOSTILE_LAYER: 0.0 if 1990 <= step < 2000 else norm}
    return StepEvent(
        run_id=run_id,
        attempt=attempt,
        step=step,
        ts=ts,
        loss=math.nan if is_broken else loss,
        learning_rate=2e-5,
        max_grad=None if step % 2 else norm,
        grad_norms=of_layers,
    )


def _signal(
    run_id: str,
    attempt: int,
    step: int,
    type_: Type,
    severity: Severity,
    ts: float,
    message: str = "as told",
    *,
    value: float = 25.0,
    layers: dict[str, int] | None = None,
) -> Signal:
    return Signal(
        signal_id=f"{run_id}/{attempt}/{step}/{type_}",
        run_id=run_id,
        project=PROJECT,
        attempt=attempt,
        step=step,
        ts=ts + step,
        type=type_,
        severity=severity,
        metric="max_grad",
        value=value,
        threshold=None if type_ == "non_finite" else 5.0,
        layers=layers,
        epoch=None,
        message=f"{message} at step {step}",
        action=None,
    )


def _regressed(known: ReportedLake, category: str, drop: int, significant: bool, ts: float) -> Signal:
    return Signal(
        signal_id=f"{known.run}/{known.attempts[1]}/3000/category_regressed/{category}",
        run_id=known.run,
        project=PROJECT,
        attempt=known.attempts[1],
        step=3000,
        ts=ts,
        type="category_regressed",
        severity="warning",
        metric=f"accuracy.{category}",
        value=0.64 - drop / 10_000,
        threshold=0.59,
        layers=None,
        epoch=None,
        message=f"{category}: {drop / 100:g} points below sft-5",
        action=None,
        regression=CategoryRegression(
            category=category,
            diff_id=known.diff_id,
            base_sha=BASE_SHA,
            ft_sha="0006" * 4,
            prior_run_id="sft-5",
            prior_score=0.64,
            drop_basis_points=drop,
            n=200,
            prior_n=200,
            standard_error=0.04,
            significant=significant,
        ),
    )
