"""The lake → everything on a report's page."""

from collections.abc import Iterable
from itertools import chain

from msgspec.structs import replace

from streakline.report.asking import Asked
from streakline.report.content import Ending, Report
from streakline.report.diffs import Made, diff_of, made_of
from streakline.report.findings import findings
from streakline.report.life import Life, check_run_id, life_of
from streakline.report.markers import markers_of
from streakline.report.timelines import timelines_of
from streakline.report.verdict import verdict
from workers.lake.session import Session


def read_report(session: Session, run_id: str, *, project: str | None = None, lake: str | None = None) -> Report:
    """What the lake has of the run, whatever that is; `project` where several have one of that id.

    Only the root of `session` counts, and it is not changed: the run is read in a session of its own, from the files
    alone that can hold something of it. `lake` goes into the commands of the findings, where theirs would be another.
    Raises RunNotFound, and QueryError for what is no run id, an id of several projects, and a lake that cannot be read.
    """
    check_run_id(run_id)
    with Session(session.root, run_id=run_id) as own:
        return _read(Asked(own), life_of(Asked(own), run_id, project, session), lake)


def _read(asked: Asked, life: Life, lake: str | None) -> Report:
    made = made_of(asked, life)
    markers, total = markers_of(asked, life)
    timelines = timelines_of(asked, life, markers)
    attempt = _latest(life, made, chain((each.attempt for each in timelines), (each.attempt for each in markers)))
    facts = Report(
        run_id=life.run_id,
        project=life.project,
        attempt=attempt,
        ending=_ending(life, made, attempt),
        error=life.error(attempt),
        started=life.started,
        ended=_ended(life, made, attempt),
        config=life.config,
        base_model=life.base_model or (made.base_model if made else None),
        verdict="",
        gravity="neutral",
        findings=(),
        timelines=timelines,
        signals=markers,
        signals_total=total,
        diff=diff_of(asked, life, made) if made else None,
        checkpoint=life.checkpoint,
    )
    found = findings(facts, lake)
    said = verdict(facts, found)
    return replace(facts, verdict=said.text, gravity=said.gravity, findings=found)


def _latest(life: Life, made: Made | None, seen: Iterable[int]) -> int:
    told = [event.attempt for event in life.events]
    return max((*told, *seen, *([made.attempt] if made else [])), default=0)


def _is_of(made: Made | None, attempt: int) -> bool:
    """Whether the diff is of that attempt, which then completed, whether its end was archived or not."""
    return made is not None and made.attempt >= attempt


def _ending(life: Life, made: Made | None, attempt: int) -> Ending:
    return life.ending(attempt) or ("completed" if _is_of(made, attempt) else "running")


def _ended(life: Life, made: Made | None, attempt: int) -> float | None:
    told = life.ended(attempt)
    return made.completed_at if told is None and made is not None and _is_of(made, attempt) else told
