"""What its model diff says of a run: scores, regressions, features and answers. Pure."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from streakline.report.clipping import NAME, clipped
from streakline.report.commands import Commands
from streakline.report.content import CategoryPoint, Diff, Finding, SaeLayer
from streakline.report.wording import counted, difference, joined, points, share
from workers.lake.tables import ModelDiffRow

HEADLINES = ("accuracy", "consistency", "robustness", "suppression")
"""scores that have a finding each"""


class Regressed(Struct, frozen=True):
    """A category in which the run fell behind."""

    category: str
    point: CategoryPoint
    prior: CategoryPoint | None
    """the run that it fell behind, where the lake has its diff"""


def diff_findings(diff: Diff, commands: Commands) -> Iterator[Finding]:
    """All but calibration's."""
    if is_unchanged(diff):
        yield _unchanged(commands)
    else:
        yield from _scores(diff, commands)
    yield from (_fell(each, commands) for each in regressed(diff))
    yield from _features(diff, commands)
    if diff.left_out:
        yield Finding(
            gravity="doubtful",
            text=f"{counted(diff.left_out, 'row')} of the diff {'is' if diff.left_out == 1 else 'are'} left out, "
            "for a figure that is no number: a model may answer with NaN.",
            command=commands.of_diff("model_diff", "*", "AND NOT (isfinite(base) AND isfinite(fine_tuned))"),
            section="scores",
        )
    if diff.low_confidence_total:
        yield Finding(
            gravity="neutral",
            text=f"The fine-tuned model is unsure of {counted(diff.low_confidence_total, 'answer')}; with the right "
            "ones they are a dataset to train on.",
            command=commands.of_diff("low_confidence_rows", "*", "ORDER BY confidence", output="unsure.jsonl"),
            section="low-confidence",
        )


def headlines(diff: Diff) -> list[ModelDiffRow]:
    """Of the headline scores what there is over everything, in their order."""
    overall = {row.score: row for row in diff.scores if row.scope == "overall"}
    return [overall[name] for name in HEADLINES if name in overall]


def is_unchanged(diff: Diff) -> bool:
    """Whether both models are one, or answer alike to the last digit."""
    return diff.base_sha == diff.ft_sha or (
        bool(diff.scores) and all(row.delta == row.ci_low == row.ci_high == 0 for row in diff.scores)
    )


def regressed(diff: Diff) -> list[Regressed]:
    """The categories in which the run fell behind the one before it, deepest first."""
    found = []
    for history in diff.histories:
        for point in history.points:
            if point.diff_id == diff.diff_id and point.regressed:
                prior = next((each for each in history.points if each.run_id == point.prior_run_id), None)
                found.append(Regressed(history.category, point, prior))
    return sorted(found, key=lambda each: -(each.point.drop_basis_points or 0))


def _unchanged(commands: Commands) -> Finding:
    return Finding(
        gravity="neutral",
        text="Base and checkpoint answer exactly alike: every score differs by 0. Is it the right checkpoint?",
        command=commands.of_diff("runs", "base_model, checkpoint, base_sha, ft_sha", ""),
        section="scores",
    )


def _scores(diff: Diff, commands: Commands) -> Iterator[Finding]:
    rows = headlines(diff)
    for row in rows:
        if row.verdict in {"improved", "regressed"}:
            is_better = row.verdict == "improved"
            moved = "rose" if row.delta > 0 else "fell"
            yield Finding(
                gravity="good" if is_better else "bad",
                text=f"{row.score} {moved} from {row.base:.3f} to {row.fine_tuned:.3f} ({difference(row)}): "
                f"{'better' if is_better else 'worse'} than the base.",
                command=None if is_better else _by_part(diff, row, commands),
                section="scores",
            )
    if same := [f"{row.score} ({difference(row)})" for row in rows if row.verdict == "unchanged"]:
        yield Finding(
            gravity="neutral", text=f"No measurable change in {joined(same)}.", command=None, section="scores"
        )


def _by_part(diff: Diff, row: ModelDiffRow, commands: Commands) -> str | None:
    """The categories and topics in which the score is worst, where it has any."""
    if all(each.scope == "overall" for each in diff.scores if each.score == row.score):
        return None
    order = "delta" if row.higher_is_better else "delta DESC"
    select = "category, topic, base, fine_tuned, delta, ci_low, ci_high, n"
    return commands.of_diff("model_diff", select, f"AND score = '{row.score}' AND scope <> 'overall' ORDER BY {order}")


def _fell(each: Regressed, commands: Commands) -> Finding:
    point, prior = each.point, each.prior
    drop = points((point.drop_basis_points or 0) / 10_000)
    chance = "more than chance would do" if point.significant else "which may be chance at so few probes"
    if prior is not None:
        command = commands.answered_differently(each.category, prior.run_id, prior.diff_id)
    else:
        command = commands.of_diff("regressions", "category, score, prior_run_id, prior_score, n, significant", "")
    return Finding(
        gravity="bad" if point.significant else "doubtful",
        text=f"{clipped(each.category, NAME)}: {share(point.score)} of {counted(point.n, 'probe')} right, {drop} below "
        f"{point.prior_run_id or 'the run before it'}, {chance}.",
        command=command,
        section="regressions",
    )


def _features(diff: Diff, commands: Commands) -> Iterator[Finding]:
    alarmed = [layer.summary for layer in diff.layers if layer.summary.fvu_alarm]
    if alarmed:
        fits = [
            f"layer {row.layer} ({share(row.fvu_fine_tuned)} of the variance unexplained, {share(row.fvu_base)} of the "
            "base's)"
            for row in alarmed
        ]
        yield Finding(
            gravity="doubtful",
            text=f"The SAE no longer fits the fine-tuned model at {joined(fits)}: what is said of its features is in "
            "doubt.",
            command=commands.of_diff(
                "sae_layer_diff", "layer, hook, fvu_base, fvu_fine_tuned", "AND fvu_alarm ORDER BY layer"
            ),
            section="features",
        )
    if diff.layers:
        yield _heaviest(diff, diff.layers, commands)


def _heaviest(diff: Diff, layers: Sequence[SaeLayer], commands: Commands) -> Finding:
    by_layer = {layer.summary.layer: layer.summary for layer in layers}
    rows = [by_layer[layer] for layer in diff.heaviest_layers if layer in by_layer]
    named = [f"layer {row.layer} ({share(row.changed_share)} of its live features)" for row in rows]
    if not named:
        text = f"No feature changed in any of {counted(len(layers), 'layer')} that an SAE was given for."
        return Finding(gravity="neutral", text=text, command=None, section="features")
    columns = "layer, feature, label, delta_mean, base_count, ft_count"
    rest = "AND changed ORDER BY abs(delta_mean) DESC LIMIT 20"
    return Finding(
        gravity="neutral",
        text=f"Most rewritten: {joined(named, most=3)}.",
        command=commands.of_diff("sae_feature_diff", columns, rest) if any(layer.cells for layer in layers) else None,
        section="features",
    )
