"""One batch of raw records, judged: no I/O, no clock."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from msgspec import Struct

from producers import codec
from producers.events import Signal, TrainerEvent
from stream_app.engine.evaluate import evaluate
from stream_app.engine.state import RunState
from stream_app.engine.thresholds import ThresholdPolicy

RefusalReason = codec.Reason | Literal["wrong_key", "failed"]


class RawRecord(Struct, frozen=True):
    """One record of the steps topic, as it came."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class RunKey(Struct, frozen=True):
    """Where a run's state lives: a table is split as the topic is."""

    partition: int
    run: bytes


class Refusal(Struct, frozen=True):
    """A record that goes to the dead letters, and why."""

    record: RawRecord
    reason: RefusalReason
    detail: str


class Judgement(Struct, frozen=True):
    """What a batch comes to, for the caller to make durable in this order: signals and refusals, then states."""

    signals: list[Signal]
    refusals: list[Refusal]
    states: Mapping[RunKey, RunState]
    """of the runs that the batch changed"""
    ignored: int
    """duplicates, late events and events of attempts that are over"""


def judge(records: Iterable[RawRecord], load: Callable[[RunKey], RunState], policy: ThresholdPolicy) -> Judgement:
    """Apply `records` in order. `load` gives a run's state as it is stored, the empty state for a run not known.

    A record that cannot be decoded or judged is refused and changes nothing. What `load` raises is raised.
    """
    before: dict[RunKey, RunState] = {}
    after: dict[RunKey, RunState] = {}
    signals: list[Signal] = []
    refusals: list[Refusal] = []
    ignored = 0
    for record in records:
        event = _decode(record)
        if isinstance(event, Refusal):
            refusals.append(event)
            continue
        key = RunKey(record.partition, event.run_id.encode())
        if key not in after:
            before[key] = after[key] = load(key)
        try:
            outcome = evaluate(after[key], event, policy)
        except Exception as error:  # whatever it is, the record is kept and the others go on
            refusals.append(Refusal(record, "failed", f"{type(error).__name__}: {error}"))
            continue
        after[key] = outcome.state
        ignored += not outcome.counted
        if outcome.signal is not None:
            signals.append(outcome.signal)
    changed = {key: state for key, state in after.items() if state is not before[key]}
    return Judgement(signals, refusals, changed, ignored)


def _decode(record: RawRecord) -> TrainerEvent | Refusal:
    try:
        event = codec.decode(record.value or b"")
    except codec.MalformedEvent as malformed:
        return Refusal(record, malformed.reason, malformed.detail)
    if event.run_id.encode() != record.key:
        # Its steps could land on two partitions, and be judged as two runs.
        return Refusal(record, "wrong_key", "the record's key is not its run_id")
    return event
