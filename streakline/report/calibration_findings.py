"""Whether the fine-tuned model knows what it knows, on held-out probes alone. Pure."""

from collections.abc import Iterator

from streakline.report.clipping import NAME, clipped
from streakline.report.commands import Commands
from streakline.report.content import Diff, Finding, Gravity
from streakline.report.wording import counted, joined, points
from workers.lake.tables import CalibrationSummaryRow, CalibrationTopicRow

_HELD_OUT = "AND model = 'fine_tuned' AND eval_split = 'held_out'"
_TOPICS = "category, topic, n, accuracy, mean_confidence, ece, ece_ci_low, ece_ci_high, null_floor"


def calibration_findings(diff: Diff, commands: Commands) -> Iterator[Finding]:
    """The error of both models, and topics of too few probes. What was trained on says nothing, and is not used."""
    both = held_out(diff)
    if both is not None:
        large = any(not row.is_small for row in _held_out_topics(diff))
        rest = f"{_HELD_OUT} AND NOT is_small ORDER BY ece DESC"
        by_topic = commands.of_diff("calibration_topics", _TOPICS, rest) if large else None
        yield _error(*both, by_topic)
    elif diff.calibration and all(row.eval_split == "train" for row in diff.calibration):
        yield Finding(
            gravity="neutral",
            text="Calibration was measured on probes of the training set only, which says nothing of others.",
            command=None,
            section="calibration",
        )
    yield from _small_topics(diff, commands)


def held_out(diff: Diff) -> tuple[CalibrationSummaryRow, CalibrationSummaryRow] | None:
    """Base and fine-tuned model, where both were measured."""
    rows = {row.model: row for row in diff.calibration if row.eval_split == "held_out"}
    return (rows["base"], rows["fine_tuned"]) if len(rows) == 2 else None


def is_worse(base: CalibrationSummaryRow, after: CalibrationSummaryRow) -> bool:
    """Whether the error rose beyond both intervals, and above what perfect calibration would measure."""
    return after.ece_ci_low > base.ece_ci_high and after.ece > after.null_floor


def _error(base: CalibrationSummaryRow, after: CalibrationSummaryRow, by_topic: str | None) -> Finding:
    gravity: Gravity = "neutral"
    if is_worse(base, after):
        gravity = "doubtful"
    elif base.ece_ci_low > after.ece_ci_high:
        gravity = "good"
    said = {"doubtful": "worse", "good": "better"}.get(gravity, "no measurable change")
    return Finding(
        gravity=gravity,
        text=f"Calibration error {base.ece:.3f} → {after.ece:.3f} (95 % {after.ece_ci_low:.3f} to "
        f"{after.ece_ci_high:.3f}, n = {after.n:,}), {said}; {_against_perfect(after)}.",
        command=by_topic,
        section="calibration",
    )


def _against_perfect(after: CalibrationSummaryRow) -> str:
    floor = f"a perfectly calibrated model would measure {after.null_floor:.3f}"
    excess = after.mean_confidence - after.accuracy
    if after.ece_ci_low <= after.null_floor:
        return f"{floor}, which is not told apart from it"
    return (
        f"{floor}, and this one is {points(abs(excess))} too {'sure' if excess > 0 else 'unsure'} of itself on average"
    )


def _held_out_topics(diff: Diff) -> list[CalibrationTopicRow]:
    return [row for row in diff.topics if (row.model, row.eval_split) == ("fine_tuned", "held_out")]


def _small_topics(diff: Diff, commands: Commands) -> Iterator[Finding]:
    own = _held_out_topics(diff)
    small = [clipped(row.topic, NAME) for row in own if row.is_small]
    if small:
        yield Finding(
            gravity="neutral",
            text=f"Nothing can be said of calibration by topic in {len(small):,} of {counted(len(own), 'topic')}, for "
            f"want of 30 held-out probes: {joined(small, most=3)}.",
            command=commands.of_diff("calibration_topics", _TOPICS, f"{_HELD_OUT} AND is_small ORDER BY n"),
            section="calibration",
        )
