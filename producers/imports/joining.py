"""The second pass: numbers of one step, which may be recorded apart from each other, become one step event.

A step is what has a loss. A number joins the loss of its run and step within the same file, whether it comes before or
after it; steps are given out in the order of their losses. What waits for its step is bounded: beyond that the
oldest is given out, or dropped where it has no loss.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite

from msgspec import Struct

from producers.events import StepEvent
from producers.imports.readings import Reading, Restarts
from producers.imports.survey import Columns

MAX_WAITING = 1 << 17
"""numbers"""

Key = tuple[str, int, int]
"""run, how often its steps went back, step"""


class Clock(Struct, frozen=True):
    """When steps were, for recordings that do not say: a second apart, the last of the longest run at `ended`."""

    ended: float
    """Unix seconds"""
    longest: int
    """steps"""

    def ts(self, index: int) -> float:
        """The time of a run's step number `index`, from 0."""
        return self.ended - self.longest + 1 + index


class _Row(Struct):
    part: int
    loss: float | None = None
    ts: float | None = None
    max_grad: float | None = None
    learning_rate: float | None = None
    epoch: float | None = None
    norms: dict[str, float | None] | None = None
    size: int = 0


class Joiner:
    """Makes events of readings, once."""

    def __init__(self, columns: Columns, run_ids: Mapping[str, str], clock: Clock) -> None:
        self._columns = columns
        self._run_ids = run_ids
        self._clock = clock
        # A plain dict takes ever longer to say which is its oldest, as the oldest are removed.
        self._rows: OrderedDict[Key, _Row] = OrderedDict()
        self._waiting = 0
        self._backs: dict[tuple[str, str], Restarts] = {}
        self._attempts = {run: Restarts() for run in run_ids}
        self._counts = dict.fromkeys(run_ids, 0)
        self._part = 0
        self.alone = 0
        """gradient norms that could not join a loss"""
        self.repeated = 0
        """losses of steps that had one"""

    def events(self, readings: Iterable[Reading]) -> Iterator[StepEvent]:
        """The events of `readings`, which must be those that the columns were chosen from."""
        for reading in readings:
            if reading.part != self._part:
                yield from self._give_out(0)
                self._part = reading.part
                self._backs.clear()
            if reading.run in self._run_ids:
                for name, value in reading.values.items():
                    self._put(reading, name, value)
                yield from self._give_out(MAX_WAITING)
        yield from self._give_out(0)

    def _put(self, reading: Reading, name: str, value: float) -> None:
        field = self._field(name, value)
        if field is None:
            return
        row = self._row(reading, name)
        if field == "layer":
            layer = self._columns.layers[name]
            row.norms = {} if row.norms is None else row.norms
            is_new = layer not in row.norms
            row.norms.setdefault(layer, value)
        else:
            is_new = getattr(row, field) is None
            if is_new:
                setattr(row, field, value)
        if is_new:
            row.size += 1
            self._waiting += 1
        if field == "loss":
            row.ts = reading.ts if is_new else row.ts
            self.repeated += not is_new

    def _row(self, reading: Reading, name: str) -> _Row:
        restarts = self._backs.get((reading.run, name))
        if restarts is None:
            restarts = self._backs[reading.run, name] = Restarts()
        key = (reading.run, restarts.attempt_of(reading.step, reading.part), reading.step)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row(reading.part)
        elif name == self._columns.loss and row.loss is None:
            # Last in the order from now on.
            self._rows.move_to_end(key)
        return row

    def _field(self, name: str, value: float) -> str | None:
        columns = self._columns
        if name in columns.layers:
            return "layer"
        if name == columns.loss:
            return "loss"
        if name == columns.max_grad:
            # Below zero is what some trainers write for: not known.
            return None if value < 0 else "max_grad"
        if name == columns.learning_rate:
            return "learning_rate"
        return "epoch" if name == columns.epoch else None

    def _give_out(self, limit: int) -> Iterator[StepEvent]:
        while self._rows and self._waiting > limit:
            key, row = self._rows.popitem(last=False)
            self._waiting -= row.size
            if row.loss is None:
                self.alone += len(row.norms or ()) + (row.max_grad is not None)
            else:
                yield self._event(key, row, row.loss)

    def _event(self, key: Key, row: _Row, loss: float) -> StepEvent:
        run, _, step = key
        index = self._counts[run]
        self._counts[run] = index + 1
        if self._columns.is_total and row.max_grad is None and row.norms is not None:
            # The largest of the layers' would be judged among norms of all parameters, which are larger.
            self.alone += len(row.norms)
            row.norms = None
        ts = row.ts if self._columns.has_times else None
        return StepEvent(
            run_id=self._run_ids[run],
            attempt=self._attempts[run].attempt_of(step, row.part),
            step=step,
            ts=ts if ts is not None and isfinite(ts) else self._clock.ts(index),
            loss=loss,
            learning_rate=row.learning_rate,
            max_grad=row.max_grad,
            grad_norms=row.norms,
            epoch=row.epoch,
        )
