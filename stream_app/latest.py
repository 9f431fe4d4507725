"""What is shown of a run, brought up to date: pure, with the clock as an argument."""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from producers.events import RunCompleted, RunFailed, Severity, Signal, StepEvent, TrainerEvent
from stream_app.engine.reading import maximum_gradient_norm
from stream_app.engine.state import RunState
from stream_app.records import Latest, Mark

REPLAY_SECONDS = 3600.0
"""an event older than this is history: nobody is to be paged for it"""


class Taken(Struct, frozen=True):
    """One event that counted, and when its record was published (Unix seconds)."""

    event: TrainerEvent
    published_at: float


def is_history(ts: float, moment: float) -> bool:
    """Whether what was measured at `ts` is a replay at `moment`."""
    return moment - ts > REPLAY_SECONDS


def after_start(latest: Latest) -> Latest:
    """What outlives the start of another attempt: its earlier signals are still news."""
    return Latest(marks=latest.marks)


def after_events(latest: Latest, last: Taken, last_step: StepEvent | None, state: RunState, now: float) -> Latest:
    """`latest` after events that counted, of which `last` came last, and `last_step` was the last step, if any.

    `state` is the engine's after them.
    """
    latest = replace(
        latest,
        # An announcement that comes again is older than the steps behind it; a clock that is ahead is not believed.
        event_at=max(latest.event_at, min(last.event.ts, now)),
        is_replay=is_history(last.event.ts, last.published_at),
    )
    if last_step is None:
        return latest
    grad_norm = maximum_gradient_norm(last_step)
    if grad_norm is None and state.max_grads:
        grad_norm = state.max_grads[-1]
    return replace(latest, loss=last_step.loss, grad_norm=grad_norm)


def after_end(latest: Latest, end: RunCompleted | RunFailed) -> Latest:
    """`latest` after the event that ended the attempt."""
    return replace(latest, ending="completed" if isinstance(end, RunCompleted) else "failed")


def after_signals(latest: Latest, signals: Iterable[Signal], now: float) -> Latest:
    """`latest` with a mark for each signal: when it was detected, or for history when it was measured."""
    marks: Mapping[str, dict[Severity, Mark]] = latest.marks
    for signal in signals:
        mark = Mark(signal.ts if is_history(signal.ts, now) else now, signal.step)
        marks = {**marks, signal.type: {**marks.get(signal.type, {}), signal.severity: mark}}
    return replace(latest, marks=dict(marks))
