"""Every run that the lake knows of, put together from the archive and the diffs."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from streakline.dashboard.addresses import is_name
from streakline.dashboard.rows import SPARKLINE_POINTS, LakeRun, LastSignal
from workers.lake.session import Session


class _Known(Struct, frozen=True):
    """What a table says of the latest attempt that it knows of; the columns of the SQL, in order."""

    run_id: str
    attempt: int


class _Life(_Known, frozen=True):
    project: str
    started: float | None
    latest_at: float
    ending: str | None
    steps: int | None


class _Steps(_Known, frozen=True):
    step: int
    at: float
    losses: list[float]
    """newest first"""


class _Signal(_Known, frozen=True):
    project: str
    last: tuple[str, str, int, float]


class _Diff(_Known, frozen=True):
    project: str
    steps: int
    completed_at: float
    diff_id: str


_LIVES = """
    SELECT run_id, attempt, arg_max(project, ts), min(ts) FILTER (type = 'run_started'), max(ts),
      arg_max(type, ts) FILTER (type <> 'run_started'), max(steps)
    FROM run_events GROUP BY run_id, attempt
    QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY attempt DESC) = 1
"""
_STEPS = f"""
    SELECT run_id, max(attempt), arg_max(step, (attempt, step)), arg_max(ts, (attempt, step)),
      arg_max(loss, (attempt, step), {SPARKLINE_POINTS})
    FROM steps GROUP BY run_id
"""
_SIGNALS = """
    SELECT run_id, max(attempt), arg_max(project, (attempt, ts)), arg_max((type, severity, step, ts), (attempt, ts))
    FROM signals GROUP BY run_id
"""
_DIFFS = """
    SELECT run_id, arg_max(attempt, created_at), arg_max(project, created_at), arg_max(steps, created_at),
      epoch(max(created_at)), arg_max(diff_id, created_at)
    FROM runs GROUP BY run_id
"""
K = TypeVar("K", bound=_Known)


class LakeRuns(Struct, frozen=True):
    """What was found, and how many names were none of runs."""

    runs: Mapping[str, LakeRun]
    malformed: int


def lake_runs(session: Session) -> LakeRuns:
    """All of them. Raises QueryError."""
    book = _Book(session)
    book.take("run_events", _LIVES, _Life, _with_life)
    book.take("steps", _STEPS, _Steps, _with_steps)
    book.take("signals", _SIGNALS, _Signal, _with_signal)
    book.take("runs", _DIFFS, _Diff, _with_diff)
    return LakeRuns(book.runs, len(book.malformed))


class _Book:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._tables = frozenset(session.tables())
        self.runs: dict[str, LakeRun] = {}
        self.malformed: set[str] = set()

    def take(self, table: str, sql: str, kind: type[K], add: Callable[[LakeRun, K], LakeRun]) -> None:
        """Add what `table` says, where there is one."""
        for known in self._rows(sql, kind) if table in self._tables else ():
            if is_name(known.run_id):
                self.runs[known.run_id] = add(self.runs.get(known.run_id) or LakeRun(run_id=known.run_id), known)
            else:
                self.malformed.add(known.run_id)

    def _rows(self, sql: str, kind: type[K]) -> Iterator[K]:
        return (kind(*values) for values in self._session.ask(sql).rows)


def _with_life(run: LakeRun, life: _Life) -> LakeRun:
    return replace(
        run,
        project=life.project,
        attempt=life.attempt,
        ending=None if life.ending is None else "completed" if life.ending == "run_completed" else "failed",
        started=_finite(life.started),
        event_at=_finite(life.latest_at),
        last_step=None if not life.steps else life.steps - 1,
    )


def _with_steps(run: LakeRun, steps: _Steps) -> LakeRun:
    if steps.attempt < run.attempt:
        return run
    known = _later(run, steps.attempt, run.project)
    losses = tuple(_finite(loss) for loss in reversed(steps.losses))
    return replace(
        known,
        last_step=max(steps.step, known.last_step or 0),
        event_at=max(_finite(steps.at) or 0.0, known.event_at or 0.0),
        loss=losses[-1],
        losses=losses,
    )


def _with_signal(run: LakeRun, signal: _Signal) -> LakeRun:
    try:
        last = msgspec.convert(signal.last, LastSignal)
    except msgspec.ValidationError:
        # Of a newer version, perhaps.
        return run
    return replace(_later(run, signal.attempt, signal.project), project=run.project or signal.project, signal=last)


def _with_diff(run: LakeRun, diff: _Diff) -> LakeRun:
    if run.event_at is not None:
        return replace(run, project=run.project or diff.project, diff_id=diff.diff_id)
    # Nothing else of it was archived, and a diff is made of what has completed.
    return replace(
        run,
        project=diff.project,
        attempt=max(run.attempt, diff.attempt),
        ending="completed",
        last_step=diff.steps - 1 if diff.steps else None,
        event_at=_finite(diff.completed_at),
        diff_id=diff.diff_id,
    )


def _later(run: LakeRun, attempt: int, project: str | None) -> LakeRun:
    """`run`, or nothing of it where `attempt` is a later one."""
    return run if attempt <= run.attempt else LakeRun(run_id=run.run_id, project=project, attempt=attempt)


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
