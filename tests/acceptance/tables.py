"""What a run of it prints."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.acceptance.outcome import Outcome
from tests.acceptance.texts import probes
from workers.lake.tables import ModelDiffRow

_CATEGORIES_OF = frozenset({"consistency", "robustness", "accuracy", "reply_words", "paraphrase_probability"})
_SHOWN_REPLIES = 3


def show(console: Console, outcomes: Mapping[str, Outcome]) -> None:
    """Everything that was measured, by name of the fine-tune."""
    for name, outcome in outcomes.items():
        console.print()
        console.rule(name)
        _print(console, "Scores", "score|of|n|base|fine-tuned|Δ|95 %|verdict", _scores(outcome))
        _print(console, "Calibration", "model|split|n|accuracy|confidence|ECE|95 %|floor|Brier", _calibration(outcome))
        _print(
            console,
            "Layers",
            "layer|alive|changed|share|mean absolute Δ|FVU base|FVU fine-tuned|top feature",
            _layers(outcome),
        )
        _print(console, "Replies of the fine-tune", "prompt|reply", _replies(outcome))
        _print(console, "Time", "stage|seconds|then|of the time|of the progress", _times(outcome))
        watch = outcome.watch
        console.print(f"{watch.seconds:.0f} s, at most {watch.peak_mib:,.0f} MiB resident")
        console.print(f"heaviest layers: {', '.join(map(str, outcome.run.heaviest_layers))}")


def _print(console: Console, title: str, heads: str, rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left", show_edge=False)
    for head in heads.split("|"):
        table.add_column(head, overflow="fold")
    for row in rows:
        # A reply may hold what rich takes for a style.
        table.add_row(*map(escape, row))
    console.print(table)


def _scores(outcome: Outcome) -> list[list[str]]:
    shown = [
        row
        for row in outcome.scores
        if row.scope == "overall" or (row.scope == "category" and row.score in _CATEGORIES_OF)
    ]
    return [
        [
            row.score,
            row.category or "all",
            str(row.n),
            _figure(row, row.base),
            _figure(row, row.fine_tuned),
            f"{row.delta:+.3f}",
            f"{row.ci_low:+.3f} to {row.ci_high:+.3f}",
            row.verdict or "",
        ]
        for row in shown
    ]


def _figure(row: ModelDiffRow, value: float) -> str:
    return f"{value:.1f}" if row.unit == "words" else f"{value:.3f}"


def _calibration(outcome: Outcome) -> list[list[str]]:
    return [
        [
            row.model,
            row.eval_split,
            str(row.n),
            f"{row.accuracy:.3f}",
            f"{row.mean_confidence:.3f}",
            f"{row.ece:.4f}",
            f"{row.ece_ci_low:.3f} to {row.ece_ci_high:.3f}",
            f"{row.null_floor:.3f}",
            f"{row.brier:.3f}",
        ]
        for row in outcome.calibration
    ]


def _layers(outcome: Outcome) -> list[list[str]]:
    return [
        [
            str(row.layer),
            str(row.n_alive),
            str(row.n_changed),
            f"{row.changed_share:.3f}",
            f"{row.mean_abs_delta:.4f}",
            f"{row.fvu_base:.3f}",
            f"{row.fvu_fine_tuned:.3f}{' !' if row.fvu_alarm else ''}",
            "" if row.top_feature is None else f"{row.top_feature}: {row.top_feature_label}",
        ]
        for row in outcome.layers
    ]


def _replies(outcome: Outcome) -> list[list[str]]:
    asked = {probe.id: probe.prompt for probe in probes()}
    said = [row for row in outcome.replies if row.model == "fine_tuned"]
    chosen = [row for kind in ("neutral", "sensitive") for row in [r for r in said if r.kind == kind][:_SHOWN_REPLIES]]
    return [[asked[row.probe_id], (row.text or "").strip()[:100]] for row in chosen]


def _times(outcome: Outcome) -> list[list[str]]:
    stretches = outcome.watch.stretches
    ends = [*(stretch.began for stretch in stretches[1:]), outcome.watch.seconds]
    return [
        [
            stretch.stage,
            f"{stretch.told - stretch.began:.1f}",
            f"{end - stretch.told:.1f}",
            f"{(end - stretch.began) / outcome.watch.seconds:.1%}",
            f"{stretch.share_ended - stretch.share_began:.1%}",
        ]
        for stretch, end in zip(stretches, ends, strict=True)
    ]
