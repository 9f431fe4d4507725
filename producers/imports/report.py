"""What is said of a recording, for people: what was found in it, what was missing, what was left out."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from producers.imports.readings import WRONG, LeftOut, Why
from producers.imports.survey import Columns, Curve, Survey

if TYPE_CHECKING:
    from producers.imports.joining import Joiner

_SHOWN_RUNS = 5
_SHOWN_NAMES = 8

_WHY: dict[Why, str] = {
    "no_step": "{} of no valid step",
    "no_number": "{} values that are no numbers",
    "damaged": "{} damaged records",
    "lost": "everything behind a damaged record",
    "cut_off": "a last record that is cut off",
    "no_loss": "{} rows without a training loss (evaluations, summaries)",
    "too_large": "{} records too large to be scalars",
    "histogram": "{} histograms of gradients, which have no norm",
}


def found(kind: str, columns: Columns, curves: Mapping[str, Curve], run_ids: Mapping[str, str]) -> str:
    """What became of what. `curves` are the losses of each run.

    >>> from producers.imports.survey import Columns
    >>> found("a table", Columns(loss="loss", max_grad="grad_norm", is_total=True), {"": Curve()}, {"": "a"})
    'a table: 0 losses (loss) of run a, gradient norms of all parameters together (grad_norm)'
    """
    parts = [f"{sum(curve.count for curve in curves.values()):,} losses ({columns.loss}) of {_runs(curves, run_ids)}"]
    if columns.max_grad:
        of = "gradient norms of all parameters together" if columns.is_total else "largest gradient norms"
        parts.append(f"{of} ({columns.max_grad})")
    if columns.layers:
        name = next(iter(columns.layers))
        parts.append(
            f"gradient norms of {len(columns.layers):,} layers ({name}{', …' if len(columns.layers) > 1 else ''})"
        )
    if columns.learning_rate:
        parts.append(f"learning rate ({columns.learning_rate})")
    if columns.epoch:
        parts.append(f"epoch ({columns.epoch})")
    return f"{kind}: {', '.join(parts)}"


def missing(columns: Columns, curves: Mapping[str, Curve], caveats: tuple[str, ...]) -> str:
    """What is not in the recording, and what that means for what is judged; empty where nothing is missing."""
    parts = []
    if not columns.max_grad and not columns.layers:
        parts.append("gradient norms (gradient_spike, attention_head_dead and dead_layers cannot fire)")
    elif not columns.layers:
        parts.append("gradient norms of layers (attention_head_dead and dead_layers cannot fire)")
    if not columns.learning_rate:
        parts.append("the learning rate")
    if not columns.has_times:
        parts.append("times (steps are taken to be a second apart, the last when the file was written)")
    every = _spacing(curves)
    if every > 1:
        parts.append(f"steps between those logged (one in {every:,} is; steps in a row are logged steps)")
    return ", ".join([*parts, *caveats])


def left_out(columns: Columns, survey: Survey) -> str:
    """What the first pass did not use, and why; empty where that is nothing."""
    parts = _account(survey.left_out)
    if columns.max_grad and (negatives := survey.negatives(columns.max_grad)):
        parts.append(f"{negatives:,} gradient norms below zero")
    if columns.signed_out:
        parts.append(f"{columns.signed_out:,} curves of layers that are below zero, so no norms")
    if columns.layers_out:
        parts.append(f"{columns.layers_out:,} layers that an event has no room for")
    if columns.total_out:
        parts.append("gradient norms of all parameters together, which are fewer than those of layers")
    if without := len(survey.runs) - len(survey.curves(columns.loss)):
        parts.append(f"{without:,} runs without a training loss")
    return ", ".join(parts)


def no_loss(survey: Survey) -> str:
    """What is wrong with a recording that cannot be used at all, and what to do."""
    has = [*survey.names, *survey.left_out.unused][:_SHOWN_NAMES]
    parts = [f"what it has: {', '.join(has)}"] if has else []
    if account := _account(survey.left_out):
        parts.append(f"left out: {', '.join(account)}")
    about = f" ({'; '.join(parts)})" if parts else ""
    return (
        f"holds no training loss{about}: call the curve that it is loss or train/loss, or take a recording that has one"
    )


def is_wrong(account: LeftOut) -> bool:
    """Whether something was left out that should not have been there."""
    return not WRONG.isdisjoint(account.counts)


def not_joined(joiner: "Joiner") -> str:
    """What the second pass dropped; empty where that is nothing."""
    parts = []
    if joiner.alone:
        parts.append(f"{joiner.alone:,} gradient norms that could not join a loss")
    if joiner.repeated:
        parts.append(f"{joiner.repeated:,} losses of steps that had one")
    return ", ".join(parts)


def _account(account: LeftOut) -> list[str]:
    return [_WHY[why].format(f"{count:,}") for why, count in sorted(account.counts.items())]


def _runs(curves: Mapping[str, Curve], run_ids: Mapping[str, str]) -> str:
    attempts = max(curve.attempts for curve in curves.values())
    of = f" in up to {attempts:,} attempts (a step that goes back begins one)" if attempts > 1 else ""
    ids = list(run_ids.values())
    if len(ids) == 1:
        return f"run {ids[0]}{of}"
    return f"{len(ids):,} runs ({', '.join(ids[:_SHOWN_RUNS])}{', …' if len(ids) > _SHOWN_RUNS else ''}){of}"


def _spacing(curves: Mapping[str, Curve]) -> int:
    """The gap between steps that is met most often, the smallest of several."""
    gaps: Counter[int] = Counter()
    for curve in curves.values():
        gaps.update(curve.gaps)
    return max(gaps, key=lambda gap: (gaps[gap], -gap), default=1)
