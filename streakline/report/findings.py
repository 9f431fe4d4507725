"""What a reader should know of a run, the worst first, each with its next step. Pure."""

from collections.abc import Iterator

from streakline.report.calibration_findings import calibration_findings
from streakline.report.commands import Commands
from streakline.report.content import Finding, Gravity, Report
from streakline.report.diff_findings import diff_findings
from streakline.report.training_findings import training_findings

GRAVEST_FIRST: tuple[Gravity, ...] = ("bad", "doubtful", "good", "neutral")


def findings(report: Report, lake: str | None = None) -> tuple[Finding, ...]:
    """Of what `report` shows; `lake` goes into the commands, where theirs would be another."""
    diff_id = report.diff.diff_id if report.diff else None
    found = _all(report, Commands(run_id=report.run_id, diff_id=diff_id, lake=lake))
    return tuple(sorted(found, key=lambda each: GRAVEST_FIRST.index(each.gravity)))


def _all(report: Report, commands: Commands) -> Iterator[Finding]:
    yield from training_findings(report, commands)
    if report.diff is not None:
        yield from diff_findings(report.diff, commands)
        yield from calibration_findings(report.diff, commands)
    elif report.ending == "completed":
        yield _not_compared(report, commands)


def _not_compared(report: Report, commands: Commands) -> Finding:
    if report.base_model is None or report.checkpoint is None:
        missing = "no checkpoint" if report.checkpoint is None else "no base model"
        text, command = f"There is no model diff: the run named {missing}.", None
    else:
        text = "There is no model diff yet."
        command = commands.diff(report.base_model, report.checkpoint, report.project)
    return Finding(gravity="neutral", text=text, command=command, section="scores")
