"""What stream workers show of live runs in Redis, and under which keys: all that its readers need to know.

Everything here is best effort, and can be lost without losing a result: the topics and the lake have it all. Values are
JSON, a signal's as on its topic. Whoever reads them treats them as hostile: anyone who reaches Redis may write there.
"""

import math
from typing import Literal

from msgspec import Struct

from producers.events import RunId, Severity, Signal, SignalType

KEPT_SECONDS = 24 * 3600
"""after the last that was written of a run, what is shown of it is gone"""
MAX_BATCHES = 600
"""of a run, the newest, about; one is written at most once a second"""
KEPT_POINTS = 1_000
"""of a run, about: the more points a batch has, the fewer batches are kept, so that a fast run takes no more room"""
MAX_POINTS = 32
"""of a batch: of more steps, those with the extremes are left"""
MAX_SIGNALS = 16
"""of a batch, the newest"""
MAX_LAYERS = 16
"""of a signal: of more, the first are left, which have been dead for longest"""

SPARKLINE_POINTS = 32

State = Literal["running", "completed", "failed", "ended"]
"""`ended`: nobody knows any more how"""


# gc=False: one is made for every step there is, and none can be part of a cycle.
class LivePoint(Struct, frozen=True, array_like=True, gc=False):
    """One step; None where there was no figure, or one that is not finite."""

    step: int
    loss: float | None
    max_grad: float | None


class LiveBatch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened in a run since the batch before: field ``batch`` of an entry of the stream at `batches_key`.

    A worker that dies may write something twice, or never; readers take each step and each `signal_id` once.
    """

    attempt: int
    points: tuple[LivePoint, ...] = ()
    """by step"""
    signals: tuple[Signal, ...] = ()
    state: State = "running"


class LiveSignal(Struct, frozen=True, kw_only=True):
    """The latest signal of a run."""

    type: SignalType
    severity: Severity
    step: int
    at: float
    """Unix seconds, as in `stream_app.records.Mark`"""


class LiveRun(Struct, frozen=True, kw_only=True):
    """The latest of one run: the string at `run_key`."""

    run_id: RunId
    project: str
    attempt: int
    state: State
    last_step: int | None
    loss: float | None
    max_grad: float | None
    event_at: float | None
    """Unix seconds at which the trainer measured the last event"""
    sparkline: tuple[float | None, ...]
    """the latest losses, oldest first, at most `SPARKLINE_POINTS`"""
    last_signal: LiveSignal | None


def finite(value: float | None) -> float | None:
    """`value`, where JSON has it."""
    return value if value is not None and math.isfinite(value) else None


def index_key(prefix: str) -> str:
    """Of a sorted set: run_id, by the Unix second at which it last changed."""
    return f"{prefix}live:runs"


def run_key(prefix: str, run_id: str) -> str:
    """Of a string: a `LiveRun`."""
    return f"{prefix}live:run:{run_id}"


def batches_key(prefix: str, run_id: str) -> str:
    """Of a stream: its entries' ids are where a reader that was cut off goes on."""
    return f"{prefix}live:batches:{run_id}"
