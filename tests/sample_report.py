"""Reports made by hand: one of everything, one of nothing, one of the largest run, one whose every text is hostile."""

import math
import random
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from streakline.report.content import (
    LOW_CONFIDENCE_SHOWN,
    SIGNALS_SHOWN,
    Finding,
    Marker,
    Report,
    SaeCell,
    SaeLayer,
    Timeline,
)
from tests.sample_diff import BEGAN, sample_diff

HOSTILE = "</script><img src=x onerror=alert(1)>&amp;{{7*7}}'\"`<!--]]>"

Anything = TypeVar("Anything")


def empty_report() -> Report:
    """A run that was heard of, and nothing else."""
    return Report(
        run_id="quiet-run",
        project="default",
        attempt=1,
        ending="running",
        error=None,
        started=None,
        ended=None,
        config={},
        base_model=None,
        verdict="Nothing was archived of this run yet.",
        gravity="neutral",
        findings=(),
        timelines=(),
        signals=(),
        signals_total=0,
        diff=None,
    )


def rich_report() -> Report:
    """Two attempts, every kind of signal, a diff of which everything was measured."""
    return Report(
        run_id="support-assistant/lora-r16-lr2e-4",
        project="support-assistant",
        attempt=2,
        ending="completed",
        error=None,
        started=BEGAN,
        ended=BEGAN + 9_420,
        config={"learning_rate": "2e-4", "lora_rank": "16", "batch_size": "64", "scheduler": "cosine", "seed": "17"},
        base_model="SmolLM2-135M-Instruct",
        verdict=(
            "Finished, and worse where it matters: math fell 8.2 points against the run before it, "
            "and the model is more confident than right."
        ),
        gravity="bad",
        findings=_findings(),
        timelines=(
            timeline(1, 0, 1_400, every=1, seed=1, spikes=(880, 1_390)),
            timeline(2, 1_200, 3_200, every=1, seed=2, spikes=(2_240,)),
        ),
        signals=_signals(),
        signals_total=9,
        diff=sample_diff(),
    )


def largest_report() -> Report:
    """100,000 steps in each of two attempts, thinned as the reader thins them; every list as long as it may be."""
    rich = rich_report()
    assert rich.diff is not None
    marker = rich.signals[0]
    signals = tuple(
        msgspec.structs.replace(
            marker, attempt=1 + i // (SIGNALS_SHOWN // 2), step=50 * i, severity=("warning", "info", "critical")[i % 3]
        )
        for i in range(SIGNALS_SHOWN)
    )
    row = rich.diff.low_confidence[0]
    low = tuple(
        msgspec.structs.replace(row, probe_id=f"probe-{i}", prompt=f"{row.prompt} " * 7, given="so " * 60)
        for i in range(LOW_CONFIDENCE_SHOWN)
    )
    layers = tuple(msgspec.structs.replace(each, n_cells=512, cells=_all_lit(each, 512)) for each in rich.diff.layers)
    return msgspec.structs.replace(
        rich,
        timelines=tuple(timeline(i, 0, 100_000, every=25, seed=i, spikes=(40_000,)) for i in (1, 2)),
        signals=signals,
        signals_total=12_345,
        diff=msgspec.structs.replace(rich.diff, layers=layers, low_confidence=low, low_confidence_total=4_321),
    )


def _all_lit(layer: SaeLayer, n_cells: int) -> tuple[SaeCell, ...]:
    """Every cell with something that changed, as after a fine-tune that spared nothing."""
    return tuple(
        msgspec.structs.replace(layer.cells[index % len(layer.cells)], cell=index, feature=32 * index)
        for index in range(n_cells)
    )


def hostile_report(text: str = HOSTILE) -> Report:
    """Every string that is free text is `text`, all else as in the rich one."""
    rich = rich_report()
    assert rich.diff is not None
    hostile = _with_text(rich, text)
    assert hostile.diff is not None
    # The headline scores are drawn by their names: these stay, and rows of a hostile name come after them.
    named = tuple(
        msgspec.structs.replace(row, score=named.score)
        for row, named in zip(hostile.diff.scores, rich.diff.scores, strict=True)
    )
    scores = (*named, *(row for row in hostile.diff.scores if row.scope == "topic"))
    return msgspec.structs.replace(hostile, diff=msgspec.structs.replace(hostile.diff, scores=scores))


def timeline(attempt: int, begin: int, end: int, *, every: int, seed: int, spikes: Sequence[int]) -> Timeline:
    """A loss that falls, with noise; the norm leaps at the spikes, and a loss goes missing after the first."""
    rng = random.Random(seed)
    steps = sorted({*range(begin, end, every), *spikes})
    span = max(end, 2_000)
    loss: list[float | None] = []
    norm: list[float | None] = []
    for step in steps:
        near = max((math.exp(-(step - at) / 12) for at in spikes if step >= at), default=0.0)
        loss.append(0.62 + 2.3 * math.exp(-4 * step / span) + rng.gauss(0, 0.035) + 0.9 * near)
        norm.append(max(0.05, 0.9 + rng.gauss(0, 0.12) + 7.5 * near))
    gap = steps.index(spikes[0]) + 1 if steps.index(spikes[0]) + 1 < len(steps) else 0
    loss[gap] = norm[gap] = None
    return Timeline(
        attempt=attempt,
        steps=tuple(steps),
        loss=tuple(loss),
        max_grad=tuple(norm),
        total_steps=end - begin,
        non_finite=1,
    )


def _findings() -> tuple[Finding, ...]:
    return (
        Finding(
            gravity="bad",
            text="math scored 0.641, 8.2 points below the run before it: more than chance explains.",
            command="streakline query \"FROM regressions WHERE run_id = 'support-assistant/lora-r16-lr2e-4'\"",
            section="regressions",
        ),
        Finding(
            gravity="bad",
            text="The loss was not a number at step 881 of attempt 1; the run was started again from step 1,200.",
            command="streakline signals support-assistant/lora-r16-lr2e-4 --severity critical",
            section="timeline",
        ),
        Finding(
            gravity="doubtful",
            text="The SAE of layer 21 no longer fits the fine-tune: what it says of its features is in doubt.",
            command=None,
            section="features",
        ),
        Finding(
            gravity="doubtful",
            text="The calibration error rose from 0.061 to 0.118 on held-out probes.",
            command="streakline query \"FROM calibration_topics WHERE model = 'fine_tuned' ORDER BY ece DESC LIMIT 9\"",
            section="calibration",
        ),
        Finding(
            gravity="good",
            text="Consistency and robustness held: both intervals include no change.",
            command=None,
            section="scores",
        ),
    )


def _signals() -> tuple[Marker, ...]:
    def marker(attempt: int, step: int, kind: str, severity: Any, value: float | None, bound: float | None) -> Marker:
        return Marker(
            attempt=attempt,
            step=step,
            ts=BEGAN + 2.4 * step,
            type=kind,
            severity=severity,
            value=value,
            threshold=bound,
            layers=("model.layers.11.self_attn", "model.layers.12.self_attn") if "layer" in kind else (),
            message=f"{kind.replace('_', ' ')} at step {step}: {value if value is not None else 'not finite'}",
        )

    return (
        marker(1, 880, "gradient_spike", "warning", 8.41, 3.0),
        marker(1, 881, "non_finite", "critical", None, None),
        marker(1, 884, "loss_diverging", "warning", 1.79, 1.5),
        marker(1, 1_390, "gradient_spike", "critical", 8.62, 3.0),
        marker(2, 1_640, "attention_head_dead", "warning", 0.0004, 0.001),
        marker(2, 2_240, "gradient_spike", "warning", 8.37, 3.0),
        marker(2, 2_246, "dead_layers", "warning", 2.0, 1.0),
        marker(2, 2_900, "loss_plateau", "info", 0.0021, 0.005),
        marker(2, 3_199, "category_regressed", "critical", 0.641, 0.723),
    )


_CHOSEN = frozenset({
    "ending", "gravity", "section", "severity", "scope", "unit", "verdict", "model", "eval_split", "confidence_kind",
})  # fmt: skip
"""fields whose values are of a list of ours; of a report, `verdict` is free text, and set apart"""


def _with_text(value: Anything, text: str) -> Anything:
    if isinstance(value, str):
        return text  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(_with_text(each, text) for each in value)  # type: ignore[return-value]
    if isinstance(value, dict):
        return {text: text}  # type: ignore[return-value]
    if isinstance(value, msgspec.Struct):
        free = _CHOSEN - ({"verdict"} if isinstance(value, Report) else set())
        changes = {name: _with_text(getattr(value, name), text) for name in value.__struct_fields__ if name not in free}
        return msgspec.structs.replace(value, **changes)
    return value
