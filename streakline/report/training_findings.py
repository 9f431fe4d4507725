"""What its steps and signals say of a run. Pure."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from streakline.report.commands import Commands
from streakline.report.content import Finding, Gravity, Marker, Report
from streakline.report.wording import counted
from workers.lake.statements import quoted

REGRESSED = "category_regressed"
"""a signal about the checkpoint, not about a step"""
_BEFORE, _AFTER = 20, 10
"""steps around a signal"""
_COLUMNS = "step, loss, max_grad, learning_rate"
_NO_NUMBER = "NOT isfinite(loss) OR NOT isfinite(max_grad) OR NOT isfinite(list_sum(map_values(grad_norms)))"


def training_findings(report: Report, commands: Commands) -> Iterator[Finding]:
    """Failure, steps that are no number, and each type of signal."""
    if report.ending == "failed":
        yield _failed(report, commands)
    yield from _no_numbers(report, commands)
    told = sorted((marker for marker in report.signals if marker.type != REGRESSED), key=lambda marker: marker.type)
    for _, markers in groupby(told, key=lambda marker: marker.type):
        yield _fired(report, list(markers), commands)


def last_step(report: Report) -> int | None:
    """The highest of the latest attempt, as far as it is archived."""
    return next((each.steps[-1] for each in report.timelines if each.attempt == report.attempt and each.steps), None)


def _failed(report: Report, commands: Commands) -> Finding:
    last = last_step(report)
    after = "" if last is None else f" after step {last:,}"
    return Finding(
        gravity="bad",
        text=f"The run failed{after}: {first_line(report.error)}.",
        command=commands.of_attempt(report.attempt, _COLUMNS, "ORDER BY step DESC LIMIT 20")
        if last is not None
        else None,
        section="timeline",
    )


def first_line(error: str | None) -> str:
    """What a traceback or a message says first, without a full stop.

    >>> first_line("out of memory.\\n  at x"), first_line(None)
    ('out of memory', 'it did not say why')
    """
    lines = [line.strip() for line in (error or "").splitlines() if line.strip()]
    return lines[0].rstrip(".")[:200] if lines else "it did not say why"


def _no_numbers(report: Report, commands: Commands) -> Iterator[Finding]:
    for each in report.timelines:
        if each.non_finite:
            is_latest = each.attempt == report.attempt
            share = f"{each.non_finite:,} of {counted(each.total_steps, 'step')}"
            yield Finding(
                gravity="bad" if is_latest else "neutral",
                text=f"The loss or a gradient norm is NaN or infinite in {share} of attempt {each.attempt}"
                f"{'' if is_latest else ', which was started anew'}.",
                command=commands.of_attempt(each.attempt, _COLUMNS, f"AND ({_NO_NUMBER}) ORDER BY step LIMIT 20"),
                section="timeline",
            )


def _fired(report: Report, markers: Sequence[Marker], commands: Commands) -> Finding:
    """Of one type."""
    latest = [marker for marker in markers if marker.attempt == report.attempt]
    own = latest or markers
    where = f"step {own[0].step:,}" + (f" of attempt {own[0].attempt}" if len(report.timelines) > 1 else "")
    least = "at least " if report.signals_total > len(report.signals) else ""
    is_one = len(own) == 1
    how = "once" if is_one else f"{least}{len(own):,} times"
    critical = sum(marker.severity == "critical" for marker in own)
    gravest = "" if not critical else " (critical)" if is_one else f" ({critical:,} critical)"
    before = ""
    if not latest:
        before = ", before the run was started anew"
    elif len(latest) < len(markers):
        before = f"; {len(markers) - len(latest):,} more before the run was started anew"
    return Finding(
        gravity=_gravity(report, latest),
        text=f"{own[0].type} fired {how}{gravest}, {'' if is_one else 'first '}at {where}{before}.",
        command=_around(report, own[0], commands),
        section="signals",
    )


def _gravity(report: Report, latest: Sequence[Marker]) -> Gravity:
    """A run that went on and completed has got over what was critical, or has not: that is for people to say."""
    severities = {marker.severity for marker in latest}
    if "critical" in severities:
        return "doubtful" if report.ending == "completed" else "bad"
    return "doubtful" if "warning" in severities else "neutral"


def _around(report: Report, marker: Marker, commands: Commands) -> str | None:
    """The steps before and after it; where none are archived, the signals themselves."""
    if all(each.attempt != marker.attempt for each in report.timelines):
        return commands.of_signals(f"AND type = {quoted(marker.type)} ORDER BY attempt, step")
    # Of a layer whose name was cut there is no such norm.
    norms = [layer for layer in marker.layers[:1] if not layer.endswith("…")]
    columns = ", ".join((_COLUMNS, *(f"grad_norms[{quoted(layer)}] AS layer_norm" for layer in norms)))
    span = f"AND step BETWEEN {max(0, marker.step - _BEFORE)} AND {marker.step + _AFTER} ORDER BY step"
    return commands.of_attempt(marker.attempt, columns, span)
