"""A lake of which everything is known: five fine-tunes of two bases, what was measured of them, and their steps."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from producers.events import RunCompleted, RunFailed, RunStarted, StepEvent
from tests.archived import write_events
from tests.asked_rows import (
    calibration_row,
    feature_row,
    gold_row,
    layer_row,
    regression_row,
    run_row,
    score_row,
    signal_of,
    topic_row,
    unsure_row,
)
from tests.unit.workers.lake.rows import common
from workers.archive.rows import ArchivedEvent
from workers.lake.tables import Common, Verdict
from workers.lake.writer import Lake

FIRST_DAY = 1_767_225_600.0
"""2026-01-01, UTC"""


class Asked(Struct, frozen=True, kw_only=True):
    """What is known of one fine-tune."""

    name: str
    day: int
    project: str = "assistant"
    base: str = "base-1b"
    learning_rate: str
    code: float
    """accuracy in the category; of the base it is 0.5 everywhere"""
    factual: float
    robustness: float
    verdicts: tuple[Verdict, Verdict]
    """of accuracy and robustness"""
    ece: float
    """of the base 0.1"""
    shifts: Mapping[int, float]
    """feature of layer 8 → by how much its mean moved"""
    layer_8_share: float
    fvu_alarm: bool = False
    unsure: Sequence[tuple[str, str]]
    """topic and probe"""
    forgotten: Sequence[str]
    """probes that the base answers and it does not"""
    prior: tuple[str, float, int, bool] | None = None
    """run, accuracy in code, probes, and whether the fall is significant; of those that fell behind"""

    @property
    def common(self) -> Common:
        """Of its rows."""
        at = FIRST_DAY + 86_400 * self.day + 3600
        dt = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"
        return common(self.name, self.name, project=self.project, dt=dt, created_at=at, base_sha=self.base)


RUNS = (
    Asked(
        name="sft-1",
        day=0,
        learning_rate="1e-5",
        code=0.80,
        factual=0.60,
        robustness=0.30,
        verdicts=("improved", "unchanged"),
        ece=0.12,
        shifts={7: 0.5, 9: -0.1},
        layer_8_share=0.1,
        unsure=[("capitals", "c1")],
        forgotten=[],
    ),
    Asked(
        name="sft-2",
        day=1,
        learning_rate="2e-5",
        code=0.82,
        factual=0.70,
        robustness=0.10,
        verdicts=("improved", "regressed"),
        ece=0.31,
        shifts={7: -0.7, 9: 0.3},
        layer_8_share=0.2,
        unsure=[("capitals", "c1"), ("rivers", "r1")],
        forgotten=["c2"],
    ),
    Asked(
        name="sft-3",
        day=2,
        learning_rate="1e-3",
        code=0.60,
        factual=0.75,
        robustness=0.20,
        verdicts=("improved", "regressed"),
        ece=0.42,
        shifts={7: 0.9, 11: 2.0},
        layer_8_share=0.6,
        unsure=[("capitals", "c1"), ("capitals", "c3")],
        forgotten=["c2", "r1"],
        fvu_alarm=True,
        prior=("sft-2", 0.82, 200, True),
    ),
    Asked(
        name="sft-4",
        day=9,
        learning_rate="1e-5",
        code=0.64,
        factual=0.72,
        robustness=0.35,
        verdicts=("unchanged", "improved"),
        ece=0.08,
        shifts={9: 0.2},
        layer_8_share=0.1,
        unsure=[],
        forgotten=[],
    ),
    Asked(
        name="other-2",
        day=3,
        learning_rate="1e-5",
        code=0.40,
        factual=0.50,
        robustness=0.30,
        verdicts=("unchanged", "unchanged"),
        ece=0.1,
        shifts={7: 99.0},
        layer_8_share=0.9,
        unsure=[("rivers", "r2")],
        forgotten=["r1"],
        project="search",
        base="base-7b",
        prior=("other-1", 0.55, 20, False),
    ),
)


def write_asked_lake(root: Path, runs: Sequence[Asked] = RUNS) -> None:
    """All of it."""
    lake = Lake(str(root))
    for run in runs:
        write_diff(lake, run)
    write_archive(lake)


def write_diff(lake: Lake, run: Asked) -> None:
    """The diff of one fine-tune."""
    rows: dict[str, list[Struct]] = {
        "model_diff": [
            score_row("accuracy", None, (run.code + run.factual) / 2, run.verdicts[0]),
            score_row("robustness", None, run.robustness, run.verdicts[1]),
            score_row("accuracy", "code", run.code, "unchanged"),
            score_row("accuracy", "factual", run.factual, "unchanged"),
        ],
        "behaviour_rows": [
            gold_row(model, probe, 0.9 if model == "base" or probe not in run.forgotten else 0.02)
            for model in ("base", "fine_tuned")
            for probe in ("c2", "r1")
        ],
        "calibration_summary": [calibration_row(model, ece) for model, ece in (("base", 0.1), ("fine_tuned", run.ece))],
        "calibration_topics": [topic_row("rivers", 40, run.ece + 0.1), topic_row("mythology", 12, 0.9)],
        "low_confidence_rows": [unsure_row(topic, probe) for topic, probe in run.unsure],
        "sae_layer_diff": [layer_row(4, 0.05, alarm=False), layer_row(8, run.layer_8_share, alarm=run.fvu_alarm)],
        "sae_feature_diff": [feature_row(4, 7, 50.0), *(feature_row(8, *moved) for moved in run.shifts.items())],
        "runs": [run_row(run.name, run.base)],
    }
    if run.prior is not None:
        rows["regressions"] = [regression_row(run.code, *run.prior)]
    for table, own in rows.items():
        lake.write(table, own, run.common)


def write_archive(lake: Lake) -> None:
    """Steps, signals and the life of the fine-tunes, and of one that failed."""
    events: list[ArchivedEvent] = []
    for run in RUNS:
        began = FIRST_DAY + 86_400 * run.day
        config = {"learning_rate": run.learning_rate}
        events += [
            RunStarted(run_id=run.name, project=run.project, base_model=run.base, ts=began, config=config),
            *(StepEvent(run_id=run.name, step=n, ts=began + n, loss=3 - n / 100) for n in range(0, 201, 20)),
            RunCompleted(run_id=run.name, project=run.project, base_model=run.base, ts=began + 3600, steps=201),
        ]
    events += [
        # As after a crash: the same run, another attempt.
        RunStarted(run_id="sft-1", project="assistant", ts=FIRST_DAY + 9, attempt=1, config={"learning_rate": "1e-5"}),
        signal_of("sft-2", 150, "gradient_spike", "warning", FIRST_DAY + 150),
        signal_of("sft-3", 40, "gradient_spike", "critical", FIRST_DAY + 40),
        signal_of("sft-3", 80, "gradient_spike", "warning", FIRST_DAY + 80),
        signal_of("failed-1", 30, "loss_diverging", "critical", FIRST_DAY + 30),
        signal_of("failed-1", 31, "non_finite", "critical", FIRST_DAY + 31),
        RunFailed(run_id="failed-1", project="assistant", ts=FIRST_DAY + 4000, error="CUDA out of memory"),
    ]
    write_events(lake, events)
