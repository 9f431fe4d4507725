"""A model diff for people: what changed, by how much, and where the rest of it lies."""

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from streakline.cli.text import printable

if TYPE_CHECKING:
    from streakline.cli.diff_figures import Calibration, Figures, Layer, Score

_SCORES = ("score", "base", "fine-tuned", "delta", "95 % interval", "n", "verdict")
_CALIBRATION = ("calibration error", "base", "fine-tuned", "if perfect", "n")
_LAYERS = ("layer", "features changed", "of", "share", "mean |delta|", "changed most", "")
_MAX_LAYERS = 8


def print_figures(found: "Figures") -> None:
    """Print it to stdout."""
    from streakline.cli.output import say
    from streakline.cli.table import print_table

    event = found.event
    say(printable(f"{event.run_id}: {found.checkpoint} against {found.base_model}"))
    say(f"{found.parameters:,} parameters, {found.n_probes:,} probes, diff {event.diff_id}")
    say("")
    print_table(_SCORES, map(_score, found.scores), numbers=_SCORES[1:-1])
    if found.calibration:
        say("")
        print_table(_CALIBRATION, map(_calibration, found.calibration), numbers=_CALIBRATION[1:])
    if found.layers:
        say("")
        print_table(_LAYERS, map(_layer, found.layers[:_MAX_LAYERS]), numbers=_LAYERS[:5])
    say("")
    for line in _where(found):
        say(printable(line))


def _score(score: "Score") -> tuple[str, ...]:
    return (
        score.score + (" (lower is better)" if score.higher_is_better is False else ""),
        f"{score.base:.3f}",
        f"{score.fine_tuned:.3f}",
        f"{score.delta:+.3f}",
        f"{score.ci_low:+.3f} to {score.ci_high:+.3f}",
        str(score.n),
        score.verdict or "",
    )


def _calibration(split: "Calibration") -> tuple[str, ...]:
    # What perfect calibration would measure depends on the confidences, too; the fine-tuned model's are in question.
    return (
        "held-out probes" if split.eval_split == "held_out" else "training probes",
        f"{split.base_ece:.3f}",
        f"{split.fine_tuned_ece:.3f}",
        f"{split.fine_tuned_null_floor:.3f}",
        str(split.n),
    )


def _layer(layer: "Layer") -> tuple[str, ...]:
    top = "" if layer.top_feature is None else f"{layer.top_feature} {layer.top_feature_label or ''}"
    return (
        str(layer.layer),
        f"{layer.n_changed:,}",
        f"{layer.n_alive:,}",
        f"{layer.changed_share:.1%}",
        f"{layer.mean_abs_delta:.3g}",
        top,
        "in doubt: the SAE no longer fits" if layer.fvu_alarm else "",
    )


def _where(found: "Figures") -> Iterable[str]:
    """Where it lies, and what to do with it."""
    yield f"tables   {found.lake}/*/{found.file}.parquet"
    # Neither id can hold a quote.
    sql = f"FROM model_diff WHERE run_id = '{found.event.run_id}' AND diff_id = '{found.event.diff_id}'"
    yield f'as SQL   streakline query "{sql}" --lake {shlex.quote(found.lake)}'
    if found.low_confidence_rows:
        yield f"dataset  {found.lake}/low_confidence_rows/{found.file}.jsonl"
        yield f"         of {found.low_confidence_rows:,} answers that the checkpoint is unsure of, to train on"
    if not found.layers:
        yield "next     --sae DIR, once for each layer, shows which features changed"
