"""A report in one sentence: what a tired engineer reads first, and nothing that its figures do not bear. Pure."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from producers.events import Severity
from streakline.report.calibration_findings import held_out, is_worse
from streakline.report.clipping import NAME, clipped
from streakline.report.content import Diff, Finding, Gravity, Report
from streakline.report.diff_findings import Regressed, headlines, is_unchanged, regressed
from streakline.report.findings import GRAVEST_FIRST
from streakline.report.training_findings import REGRESSED, first_line, last_step
from streakline.report.wording import counted, joined, points
from workers.lake.tables import ModelDiffRow, Verdict


class Said(Struct, frozen=True):
    """The sentence, and how grave it is: as grave as the gravest finding."""

    text: str
    gravity: Gravity


def verdict(report: Report, found: Sequence[Finding]) -> Said:
    """Of `report` and its findings."""
    gravities: list[Gravity] = [*(each.gravity for each in found), "neutral"]
    text = "; ".join((_ending(report), *_parts(report)))
    return Said(f"{text}.", min(gravities, key=GRAVEST_FIRST.index))


def _ending(report: Report) -> str:
    last = last_step(report)
    match report.ending:
        case "failed":
            after = "" if last is None else f" after step {last:,}"
            return f"Failed{after}: {first_line(report.error)}"
        case "running":
            return "Not known to have ended" + ("" if last is None else f", last seen at step {last:,}")
        case "completed":
            return "Completed"


def _parts(report: Report) -> Iterator[str]:
    """What else there is to say, worse before better."""
    broken = sum(each.non_finite for each in report.timelines if each.attempt == report.attempt)
    if broken:
        yield f"NaN or infinite at {counted(broken, 'step')}"
    yield from _signals(report, "critical")
    if report.diff is not None:
        if report.diff.attempt != report.attempt:
            yield f"what is said of its checkpoint is of attempt {report.diff.attempt}, not {report.attempt}"
        yield from _compared(report.diff)
    elif report.ending == "completed":
        yield "not compared with its base"
    yield from _signals(report, "warning")


def _signals(report: Report, severity: Severity) -> Iterator[str]:
    """Of the latest attempt: those before it were started anew."""
    own = [
        each.type
        for each in report.signals
        if (each.attempt, each.severity) == (report.attempt, severity) and each.type != REGRESSED
    ]
    if own:
        yield f"{counted(len(own), f'{severity} signal')} ({joined(list(dict.fromkeys(own)), most=3)})"


def _compared(diff: Diff) -> Iterator[str]:
    if is_unchanged(diff):
        yield "nothing changed: base and checkpoint answer exactly alike"
        return
    rows = headlines(diff)
    yield from _moved(rows, "regressed", "worse")
    yield from _fell(regressed(diff))
    yield from _doubts(diff)
    yield from _moved(rows, "improved", "better")
    if moved := [row for row in rows if row.verdict in {"regressed", "improved"}]:
        yield f"all with 95 % intervals, n = {_sizes(moved)}"
    elif rows:
        yield f"no measurable change in {joined([row.score for row in rows])} (n = {_sizes(rows)})"


def _moved(rows: Sequence[ModelDiffRow], judged: Verdict, word: str) -> Iterator[str]:
    """What cannot be told apart is called neither better nor worse."""
    own = [f"{row.score} ({row.ci_low:+.3f} to {row.ci_high:+.3f})" for row in rows if row.verdict == judged]
    if own:
        yield f"{word} than its base in {joined(own)}"


def _doubts(diff: Diff) -> Iterator[str]:
    both = held_out(diff)
    if both is not None and is_worse(*both):
        yield f"calibration error up from {both[0].ece:.3f} to {both[1].ece:.3f}"
    if ill := [str(layer.summary.layer) for layer in diff.layers if layer.summary.fvu_alarm]:
        yield f"features in doubt at layer {joined(ill)}"
    if diff.left_out:
        yield f"{counted(diff.left_out, 'row')} of the diff left out for want of a number"


def _sizes(rows: Sequence[ModelDiffRow]) -> str:
    sizes = {row.n for row in rows}
    return f"{min(sizes):,}" if len(sizes) == 1 else f"{min(sizes):,} to {max(sizes):,}"


def _fell(fallen: Sequence[Regressed]) -> Iterator[str]:
    parts = []
    for significant, doubt in ((True, ""), (False, "perhaps by chance ")):
        own = [
            f"{clipped(each.category, NAME)} by {points((each.point.drop_basis_points or 0) / 10_000)}"
            for each in fallen
            if bool(each.point.significant) == significant
        ]
        if own:
            parts.append(f"{doubt}in {joined(own, most=3)}")
    if parts:
        yield f"behind the run before it {', '.join(parts)}"
