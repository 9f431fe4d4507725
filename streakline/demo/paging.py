"""Who has to be told of the demo's signals, and who was."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from producers.events import Severity, Signal, SignalType
from streakline.demo.cast import Part
from streakline.pages import Page, Receiver

BROAD_CATEGORIES = 3
"""that a run has to fall behind in for the pager to hear of it; as in ``deploy/prometheus/rules/evals.yml``"""

# Info waits for a digest, longer than a demo lasts.
_DUE: dict[Severity, Receiver] = {"critical": "pager", "warning": "warnings"}


class Telling(Struct, frozen=True, kw_only=True):
    """One kind of signal of one run, and who was told."""

    run_id: str
    type: SignalType
    severity: Severity
    signalled_at: float
    """Unix seconds, by the trainer's clock"""
    page: Page | None
    due: Receiver | None
    """who has to be told and is not; of a run that they know of, Alertmanager tells them more only minutes later"""
    reason: str
    """why nobody has to be told now; empty where somebody was, or has to"""


def tellings(
    parts: Iterable[Part], signals: Mapping[str, Sequence[Signal]], pages: Sequence[Page]
) -> Iterator[Telling]:
    """For every run in `parts` each kind of its signals once, in the order in which they fired."""
    firing = [page for page in pages if page.status == "firing"]
    known = {(page.run_id, page.receiver) for page in firing}
    for part in parts:
        of_run = signals[part.run_id]
        is_critical = any(signal.severity == "critical" for signal in of_run)
        kinds: dict[tuple[SignalType, Severity], Signal] = {}
        for signal in of_run:
            kinds.setdefault((signal.type, signal.severity), signal)
        for (type_, severity), signal in kinds.items():
            receiver = _receiver(of_run, type_, severity)
            page = next((page for page in firing if _tells_of(page, part.run_id, type_, severity, receiver)), None)
            reason = "" if page else _reason(part, severity, is_critical=is_critical)
            due = None if page or reason else receiver
            if (part.run_id, due) in known:
                due, reason = None, f"{due}, who knows of the run, with the next message"
            yield Telling(
                run_id=part.run_id,
                type=type_,
                severity=severity,
                signalled_at=signal.ts,
                page=page,
                due=due,
                reason=reason,
            )


def _receiver(of_run: Sequence[Signal], type_: SignalType, severity: Severity) -> Receiver | None:
    """Who is to be told; None: nobody now."""
    regressed = {signal.regression.category for signal in of_run if signal.regression is not None}
    if type_ == "category_regressed" and len(regressed) >= BROAD_CATEGORIES:
        return "pager"
    return _DUE.get(severity)


def _tells_of(page: Page, run_id: str, type_: SignalType, severity: Severity, receiver: Receiver | None) -> bool:
    if type_ == "category_regressed":
        # Its alerts are of a run's scores, not of a signal, and have no type.
        return page.run_id == run_id and page.receiver == receiver and page.alert.startswith("CategoryRegression")
    return (page.run_id, page.type, page.severity) == (run_id, type_, severity)


def _reason(part: Part, severity: Severity, *, is_critical: bool) -> str:
    """Why nobody has to be told now; empty where somebody has to."""
    if part.is_replay:
        return "nobody: a replay of old steps does not page"
    if severity == "info":
        return "digest, minutes later"
    if severity == "warning" and is_critical:
        return "nobody: a critical signal of the run says more"
    return ""


def overdue(told: Iterable[Telling]) -> Iterator[str]:
    """A sentence for each of which nobody knows who has to."""
    for each in told:
        if each.due is not None:
            yield f"{each.run_id}: {each.due} did not hear of {each.type} ({each.severity})"


def uncalled_for(
    parts: Iterable[Part], signals: Mapping[str, Sequence[Signal]], pages: Iterable[Page]
) -> Iterator[str]:
    """A sentence for each page of a run of which nobody is to be told: a replay of old steps, one without signals."""
    silent = {part.run_id for part in parts if part.is_replay or not signals[part.run_id]}
    for page in pages:
        if page.run_id in silent:
            yield f"{page.run_id}: {page.receiver} heard of {page.alert} and should not have"
