"""One batch of raw records, judged: no I/O, the clock is an argument."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from producers import codec
from producers.events import RunCompleted, RunFailed, RunStarted, Signal, StepEvent, TrainerEvent
from stream_app.engine.evaluate import Outcome, evaluate
from stream_app.engine.own import OwnFailure
from stream_app.engine.state import RunState
from stream_app.engine.streaks import TooManyLayers
from stream_app.engine.thresholds import ThresholdPolicy
from stream_app.latest import Taken, after_end, after_events, after_signals, after_start
from stream_app.live import LivePoint, finite
from stream_app.raw_records import RawRecord, Refusal, RefusedBatch, RowKey
from stream_app.records import VERSION, RunRecord


class Judgement(Struct, frozen=True):
    """What a batch comes to, for the caller to make durable in this order: signals and refusals, then runs."""

    signals: list[Signal]
    refusals: list[Refusal]
    runs: Mapping[RowKey, RunRecord]
    """those that the batch changed"""
    points: Mapping[RowKey, list[LivePoint]]
    """of those runs, the steps of their latest attempt that counted, in order"""
    step_times: list[float]
    """when the trainers measured the steps that counted, Unix seconds"""
    ignored: int
    """duplicates, late events and events of attempts that are over"""
    failures: list[OwnFailure]
    """of installed detectors; those steps were judged by all others"""


class _Run:
    """One run while a batch is judged."""

    def __init__(self, stored: RunRecord | None) -> None:
        self._stored = stored or RunRecord(VERSION, RunState(), 0.0)
        self.state = self._stored.state
        self._signals: list[Signal] = []
        self._last: Taken | None = None
        self._last_step: StepEvent | None = None
        self._end: RunCompleted | RunFailed | None = None
        self.points: list[LivePoint] = []

    def take(self, event: TrainerEvent, outcome: Outcome, published_at: float) -> None:
        if outcome.state.attempt > self.state.attempt:
            self._last_step = self._end = None
            self.points = []
        self.state = outcome.state
        if outcome.counted:
            self._last = Taken(event, published_at)
            if isinstance(event, StepEvent):
                self._last_step = event
                self.points.append(LivePoint(event.step, finite(event.loss), finite(outcome.max_grad)))
            elif not isinstance(event, RunStarted):
                self._end = event
        if outcome.signal is not None:
            self._signals.append(outcome.signal)

    @property
    def has_changed(self) -> bool:
        return self.state is not self._stored.state

    def record(self, now: float) -> RunRecord:
        latest = self._stored.latest
        if self.state.attempt > self._stored.state.attempt:
            latest = after_start(latest)
        if self._last is not None:
            latest = after_events(latest, self._last, self._last_step, self.state, now)
        if self._end is not None:
            latest = after_end(latest, self._end)
        return RunRecord(VERSION, self.state, now, after_signals(latest, self._signals, now))


def judge(
    records: Iterable[RawRecord], load: Callable[[RowKey], RunRecord | None], policy: ThresholdPolicy, now: float
) -> Judgement:
    """Apply `records` in order at `now` (Unix seconds). `load` gives a run as it is stored, None where it is not known.

    A record that cannot be decoded or judged is refused and changes nothing. What `load` raises is raised.
    """
    runs: dict[RowKey, _Run] = {}
    signals: list[Signal] = []
    refusals: list[Refusal] = []
    step_times: list[float] = []
    failures: list[OwnFailure] = []
    ignored = 0
    for record in records:
        event = _decode(record)
        if isinstance(event, Refusal):
            refusals.append(event)
            continue
        key = RowKey(record.partition, event.run_id.encode())
        if key not in runs:
            runs[key] = _Run(load(key))
        run = runs[key]
        try:
            outcome = evaluate(run.state, event, policy)
        except TooManyLayers as error:
            # The producer's doing, and no defect: a limit of failures is not to count it.
            refusals.append(Refusal(record, "too_large", str(error)))
            continue
        except Exception as error:  # whatever it is, the record is kept and the others go on
            refusals.append(Refusal(record, "failed", f"{type(error).__name__}: {error}"))
            continue
        run.take(event, outcome, record.published_at)
        if not outcome.counted:
            ignored += 1
        elif isinstance(event, StepEvent):
            step_times.append(event.ts)
        if outcome.signal is not None:
            signals.append(outcome.signal)
        failures += outcome.failures
    changed = {key: run.record(now) for key, run in runs.items() if run.has_changed}
    points = {key: runs[key].points for key in changed}
    return Judgement(signals, refusals, changed, points, step_times, ignored, failures)


def _decode(record: RawRecord) -> TrainerEvent | Refusal:
    if isinstance(record.value, RefusedBatch):
        return Refusal(record, record.value.reason, record.value.detail)
    try:
        event = codec.decode(record.value or b"")
    except codec.MalformedEvent as malformed:
        return Refusal(record, malformed.reason, malformed.detail)
    if event.run_id.encode() != record.key:
        # Its steps could land on two partitions, and be judged as two runs.
        return Refusal(record, "wrong_key", "the record's key is not its run_id")
    return event
