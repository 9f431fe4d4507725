"""One row of the list of runs: what Redis shows of a run that is live, and what the lake knows of every other."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from producers.events import Severity, SignalType
from stream_app.live import KEPT_SECONDS, LiveRun, State

SPARKLINE_POINTS = 32
HEIGHTS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
"""from the lowest to the highest"""
_FIRST_SECOND, _LAST_SECOND = 1_000_000_000, 4_000_000_000
"""an attempt between them is the Unix second at which its publisher was made"""
LARGEST_EXACT = 2**53
"""of the whole numbers that a browser knows"""


class LastSignal(Struct, frozen=True, array_like=True):
    """The latest signal of a run."""

    type: SignalType
    severity: Severity
    step: int
    at: float
    """Unix seconds"""


class Row(Struct, frozen=True, kw_only=True, array_like=True):
    """What the list shows of one run; `static/rows.js` has the same order. Times are Unix seconds."""

    run_id: str
    project: str
    state: State
    attempt: int
    """the latest"""
    started: float | None
    last_step: int | None
    loss: float | None
    event_at: float | None
    """when the trainer measured the last event"""
    sparkline: str
    """the latest losses as `drawn`"""
    signal: LastSignal | None
    diff_id: str | None
    """of the latest model diff in the lake"""
    is_live: bool
    """Redis knows of it"""


class LakeRun(Struct, frozen=True, kw_only=True):
    """What the lake knows of one run, as of its latest attempt there."""

    run_id: str
    project: str | None = None
    attempt: int = 0
    ending: Literal["completed", "failed"] | None = None
    started: float | None = None
    last_step: int | None = None
    loss: float | None = None
    event_at: float | None = None
    losses: tuple[float | None, ...] = ()
    """the latest, oldest first"""
    signal: LastSignal | None = None
    diff_id: str | None = None


def merged(live: LiveRun | None, lake: LakeRun | None, now: float) -> Row:
    """One run as one row: of two attempts the later, of one attempt what Redis has, with the end that the lake knows.

    One of the two is given.
    """
    if lake is not None and (live is None or lake.attempt > live.attempt):
        return _archived(lake, now, is_live=live is not None)
    if live is None:
        raise ValueError("there is no run to make a row of")
    known = LakeRun(run_id=live.run_id) if lake is None else lake
    is_same = lake is not None and lake.attempt == live.attempt
    signal = live.last_signal
    return Row(
        run_id=live.run_id,
        project=live.project,
        state=(known.ending if is_same else None) or live.state,
        attempt=_exact(live.attempt) or 0,
        started=(known.started if is_same else None) or _second_of(live.attempt),
        last_step=_exact(live.last_step),
        loss=live.loss,
        event_at=live.event_at,
        sparkline=drawn(live.sparkline[-SPARKLINE_POINTS:]),
        signal=known.signal
        if signal is None
        else LastSignal(signal.type, signal.severity, _exact(signal.step) or 0, signal.at),
        diff_id=known.diff_id,
        is_live=True,
    )


def drawn(losses: Sequence[float | None]) -> str:
    """The shape of a curve, a letter of `HEIGHTS` each, a blank where there is no figure: a list has thousands of them.

    >>> drawn([2.0, None, 1.5, 1.0])
    '/ gA'
    """
    known = [loss for loss in losses if loss is not None]
    if not known:
        return ""
    low = min(known)
    # Halved, for the difference of two floats may be none.
    span = (max(known) / 2 - low / 2) or 1.0
    top = len(HEIGHTS) - 1
    return "".join(" " if loss is None else HEIGHTS[round((loss / 2 - low / 2) / span * top)] for loss in losses)


def _archived(lake: LakeRun, now: float, *, is_live: bool) -> Row:
    is_recent = lake.event_at is not None and now - lake.event_at < KEPT_SECONDS
    return Row(
        run_id=lake.run_id,
        project=lake.project or "default",
        state=lake.ending or ("running" if is_recent else "ended"),
        attempt=_exact(lake.attempt) or 0,
        started=lake.started or _second_of(lake.attempt),
        last_step=_exact(lake.last_step),
        loss=lake.loss,
        event_at=lake.event_at,
        sparkline=drawn(lake.losses),
        signal=lake.signal,
        diff_id=lake.diff_id,
        is_live=is_live,
    )


def _second_of(attempt: int) -> float | None:
    return float(attempt) if _FIRST_SECOND <= attempt < _LAST_SECOND else None


def _exact(number: int | None) -> int | None:
    """`number`, where a browser would show no other."""
    return number if number is not None and -LARGEST_EXACT < number < LARGEST_EXACT else None
