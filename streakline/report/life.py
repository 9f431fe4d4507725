"""What is known of a run's life: whose it is, when it began, how it ended."""

import msgspec
from msgspec import Struct

from producers.events import DEFAULT_PROJECT, Lifecycle, RunCompleted, RunFailed, RunId, RunStarted
from streakline.report.asking import Asked, RunNotFound
from streakline.report.clipping import CONFIG, ERROR, LABEL, TEXT, clipped
from streakline.report.content import Ending
from streakline.report.wording import joined
from workers.archive.rows import to_events
from workers.lake.session import Session
from workers.lake.statements import QueryError, quoted

_KNOWN_BY = ("run_events", "runs", "signals", "steps")
"""tables that say of a run that there is one"""
_ALIKE = 0.8
"""Jaro-Winkler similarity of an id that may have been meant"""


class Life(Struct, frozen=True, kw_only=True):
    """Of one run in one project."""

    run_id: str
    project: str
    others: tuple[int, ...]
    """attempts that are another project's"""
    events: tuple[Lifecycle, ...]
    """by attempt and time"""

    @property
    def own(self) -> str:
        """SQL: which rows of the archive are this run's."""
        mine = f"run_id = {quoted(self.run_id)}"
        return f"{mine} AND attempt NOT IN ({', '.join(map(str, self.others))})" if self.others else mine

    def ending(self, attempt: int) -> Ending | None:
        """Of that attempt; None where it has not ended, as far as is known."""
        match self._end(attempt):
            case RunCompleted():
                return "completed"
            case RunFailed():
                return "failed"
            case _:
                return None

    def error(self, attempt: int) -> str | None:
        """Of that attempt, where it failed."""
        end = self._end(attempt)
        return clipped(end.error, ERROR) if isinstance(end, RunFailed) else None

    def ended(self, attempt: int) -> float | None:
        """When that attempt did."""
        end = self._end(attempt)
        return None if end is None else end.ts

    @property
    def started(self) -> float | None:
        """When the first attempt that is known of did."""
        return min((start.ts for start in self._starts), default=None)

    @property
    def base_model(self) -> str | None:
        """What was told last."""
        return next((event.base_model for event in reversed(self.events) if event.base_model is not None), None)

    @property
    def checkpoint(self) -> str | None:
        """What was told last."""
        ends = [event for event in self.events if isinstance(event, RunCompleted)]
        return next((end.checkpoint for end in reversed(ends) if end.checkpoint is not None), None)

    @property
    def config(self) -> dict[str, str]:
        """Of the latest attempt that told one, cut to what a page has room for."""
        told = next((start.config for start in reversed(self._starts) if start.config), {})
        return {clipped(name, LABEL): clipped(value, TEXT) for name, value in [*told.items()][:CONFIG]}

    @property
    def _starts(self) -> list[RunStarted]:
        return [event for event in self.events if isinstance(event, RunStarted)]

    def _end(self, attempt: int) -> RunCompleted | RunFailed | None:
        ends = [event for event in self.events if isinstance(event, RunCompleted | RunFailed)]
        return next((event for event in reversed(ends) if event.attempt == attempt), None)


def check_run_id(run_id: str) -> None:
    """Raises QueryError for what is none."""
    try:
        msgspec.convert(run_id, RunId)
    except msgspec.ValidationError:
        raise QueryError(
            f"{run_id!r} is no run id: that is 1 to 128 of the characters A-Z a-z 0-9 . _ : / @ -"
        ) from None


def life_of(asked: Asked, run_id: str, project: str | None, everything: Session) -> Life:
    """Of the run with that id, in `project` or the only one that has it.

    `everything` tells of runs that are called alike. Raises RunNotFound where there is none, QueryError where it is in
    several projects.
    """
    found = _projects(asked, run_id)
    if not found:
        raise RunNotFound(_unknown(Asked(everything), run_id))
    if project is None and len(found) > 1:
        raise QueryError(f"run {run_id} is in the projects {' and '.join(found)}: --project says which is meant")
    chosen = found[0] if project is None else project
    if chosen not in found:
        raise RunNotFound(f"project {chosen} has no run {run_id}: it is in {' and '.join(found)}")
    events = _events(asked, run_id)
    own = tuple(event for event in events if event.project == chosen)
    attempts = {event.attempt for event in own}
    others = {event.attempt for event in events} - attempts
    return Life(run_id=run_id, project=chosen, others=tuple(sorted(others)), events=own)


def _events(asked: Asked, run_id: str) -> list[Lifecycle]:
    if not asked.has("run_events"):
        return []
    rows = asked.table(f"SELECT * FROM run_events WHERE run_id = {quoted(run_id)} ORDER BY attempt, ts, type")
    return [event for batch in rows.to_batches() for _, event in to_events("run_events", batch)]  # type: ignore[misc]


def _projects(asked: Asked, run_id: str) -> list[str]:
    """Those that the run is in. A signal of one that was announced late says `default`, and steps say nothing."""
    for tables in (("run_events", "runs"), ("signals",)):
        parts = [f"SELECT project FROM {table} WHERE run_id = {quoted(run_id)}" for table in tables if asked.has(table)]
        found = asked.column(f"SELECT DISTINCT project FROM ({' UNION ALL '.join(parts)}) ORDER BY 1") if parts else []
        if found:
            return found
    has_steps = asked.has("steps") and asked.column(f"SELECT 1 FROM steps WHERE run_id = {quoted(run_id)} LIMIT 1")
    return [DEFAULT_PROJECT] if has_steps else []


def _unknown(asked: Asked, run_id: str) -> str:
    names = " UNION ".join(f"SELECT run_id FROM {table}" for table in _KNOWN_BY if asked.has(table))
    alike = f"jaro_winkler_similarity(run_id, {quoted(run_id)})"
    near = f"SELECT run_id FROM ({names}) WHERE {alike} > {_ALIKE} ORDER BY {alike} DESC, run_id LIMIT 3"
    found = asked.column(near) if names else []
    but = f", but of {joined(found)}" if found else ""
    return (
        f"the lake knows of no run {run_id}{but}: `streakline archive` puts the steps and signals of runs there, "
        "a diff worker or `streakline diff` their model diffs"
    )
