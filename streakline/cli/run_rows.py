"""What is known of each run, put together from the topics that tell of it."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, field

from producers.events import (
    DEFAULT_PROJECT,
    DiffCompleted,
    DiffEvent,
    DiffFailure,
    Lifecycle,
    RunCompleted,
    RunStarted,
    Severity,
    Signal,
)
from stream_app.engine.state import RunState
from workers.progress import Stage

Status = Literal["running", "completed", "failed", "ended"]
"""`ended`: a run that has ended, and how is not known any more"""


class SignalCounts(Struct):
    """A run's signals, of all its attempts."""

    critical: int = 0
    warning: int = 0
    info: int = 0

    def add(self, severity: Severity) -> None:
        """Count one."""
        setattr(self, severity, getattr(self, severity) + 1)


class DiffState(Struct, frozen=True, kw_only=True):
    """How far the model diff of an attempt is."""

    state: Literal["making", "done", "failed"]
    diff_id: str | None = None
    """of one that is done"""
    reason: DiffFailure | None = None
    """of one that failed"""
    stage: Stage | None = None
    percent: float | None = None
    eta_seconds: float | None = None
    """of one that is being made; None while nothing can be said"""


class RunRow(Struct, frozen=True, kw_only=True):
    """One run, as of its latest attempt."""

    run: str
    project: str
    attempt: int
    status: Status
    last_step: int | None
    last_loss: float | None
    started: float | None
    """Unix seconds; None where this attempt was not announced"""
    signals: SignalCounts
    diff: DiffState | None
    """None where nothing is known of one"""


class _Start(Struct, frozen=True):
    attempt: int
    ts: float


class _End(Struct, frozen=True):
    attempt: int
    status: Status
    steps: int | None


class _Run(Struct):
    """Everything known of one run; of each kind the latest."""

    announced_project: str | None = None
    signalled_project: str | None = None
    start: _Start | None = None
    end: _End | None = None
    state: RunState | None = None
    last_signal: tuple[int, int] | None = None
    """attempt and step"""
    signals: SignalCounts = field(default_factory=SignalCounts)
    diffs: dict[int, DiffState] = field(default_factory=dict)
    """by attempt"""


class RunBook:
    """Takes what the topics hold, in any order of the topics; memory grows with the runs."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def add_event(self, event: Lifecycle) -> None:
        """One record of the runs topic."""
        run = self._runs.setdefault(event.run_id, _Run())
        run.announced_project = event.project
        if isinstance(event, RunStarted):
            if run.start is None or event.attempt >= run.start.attempt:
                run.start = _Start(event.attempt, event.ts)
        elif run.end is None or event.attempt >= run.end.attempt:
            run.end = (
                _End(event.attempt, "completed", event.steps)
                if isinstance(event, RunCompleted)
                else _End(event.attempt, "failed", None)
            )

    def add_signal(self, signal: Signal) -> None:
        """One signal; the caller sees to it that none comes twice."""
        run = self._runs.setdefault(signal.run_id, _Run())
        run.signalled_project = signal.project
        run.signals.add(signal.severity)
        run.last_signal = max(run.last_signal or (-1, -1), (signal.attempt, signal.step))

    def add_state(self, run_id: str, state: RunState | None) -> None:
        """One record of the state changelog; None: the state has been deleted."""
        self._runs.setdefault(run_id, _Run()).state = state

    def add_diff(self, event: DiffEvent) -> None:
        """One record of the diffs topic; of each attempt the last counts."""
        run = self._runs.setdefault(event.run_id, _Run())
        run.diffs[event.attempt] = (
            DiffState(state="done", diff_id=event.diff_id)
            if isinstance(event, DiffCompleted)
            else DiffState(state="failed", reason=event.reason)
        )

    def add_diff_under_way(
        self, run_id: str, attempt: int, *, stage: Stage, percent: float, eta_seconds: float | None
    ) -> None:
        """One that is being made, which is newer than what is known of its end."""
        self._runs.setdefault(run_id, _Run()).diffs[attempt] = DiffState(
            state="making", stage=stage, percent=percent, eta_seconds=eta_seconds
        )

    def rows(self) -> Iterable[RunRow]:
        """The runs that anything is known of, those that started last at the end."""
        rows = (_row(run_id, run) for run_id, run in self._runs.items())
        return sorted((row for row in rows if row is not None), key=lambda row: (row.started or 0.0, row.run))


def _row(run_id: str, run: _Run) -> RunRow | None:
    attempts = [known.attempt for known in (run.start, run.end, run.state) if known is not None]
    if run.last_signal is not None:
        attempts.append(run.last_signal[0])
    if not attempts:
        return None
    attempt = max(attempts)
    state = run.state if run.state is not None and run.state.attempt == attempt else None
    end = run.end if run.end is not None and run.end.attempt == attempt else None
    start = run.start if run.start is not None and run.start.attempt == attempt else None
    return RunRow(
        run=run_id,
        project=run.announced_project or (state and state.project) or run.signalled_project or DEFAULT_PROJECT,
        attempt=attempt,
        status=_status(end, state),
        last_step=_last_step(run, attempt, end, state),
        last_loss=state.losses[-1] if state is not None and state.losses else None,
        started=None if start is None else start.ts,
        signals=run.signals,
        diff=run.diffs.get(attempt),
    )


def _status(end: _End | None, state: RunState | None) -> Status:
    if end is not None:
        return end.status
    return "ended" if state is not None and state.has_ended else "running"


def _last_step(run: _Run, attempt: int, end: _End | None, state: RunState | None) -> int | None:
    """The engine knows it; without its state, which is deleted some time after a run ended, what was said of it."""
    if state is not None:
        return state.last_step if state.last_step >= 0 else None
    if end is not None and end.steps is not None:
        return end.steps
    return run.last_signal[1] if run.last_signal is not None and run.last_signal[0] == attempt else None
