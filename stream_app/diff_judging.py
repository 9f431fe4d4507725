"""One batch of raw records of the diffs topic, judged: no I/O, no clock."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from producers import codec
from producers.events import DiffEvent, DiffFailed, Signal
from stream_app.histories import ProjectHistory
from stream_app.raw_records import RawRecord, Refusal, RefusedBatch, RowKey
from stream_app.regressing import advance


class DiffJudgement(Struct, frozen=True):
    """What a batch comes to, for the caller to make durable in this order: signals and refusals, then histories."""

    signals: list[Signal]
    refusals: list[Refusal]
    histories: Mapping[RowKey, ProjectHistory]
    """those that the batch changed"""
    ignored: int
    """diffs that are known or say nothing, and those that failed"""


def judge_diffs(records: Iterable[RawRecord], load: Callable[[RowKey], ProjectHistory | None]) -> DiffJudgement:
    """Apply `records` in order. `load` gives a project as it is stored, None where it is not known.

    A record that cannot be decoded or judged is refused and changes nothing. What `load` raises is raised.
    """
    before: dict[RowKey, ProjectHistory] = {}
    after: dict[RowKey, ProjectHistory] = {}
    signals: list[Signal] = []
    refusals: list[Refusal] = []
    ignored = 0
    for record in records:
        event = _decode(record)
        if isinstance(event, Refusal):
            refusals.append(event)
            continue
        if isinstance(event, DiffFailed):
            ignored += 1
            continue
        key = RowKey(record.partition, event.project.encode())
        if key not in after:
            before[key] = after[key] = load(key) or ProjectHistory()
        try:
            history, fired = advance(after[key], event)
        except Exception as error:  # whatever it is, the record is kept and the others go on
            refusals.append(Refusal(record, "failed", f"{type(error).__name__}: {error}"))
            continue
        ignored += history is after[key]
        after[key] = history
        signals += fired
    changed = {key: history for key, history in after.items() if history is not before[key]}
    return DiffJudgement(signals, refusals, changed, ignored)


def _decode(record: RawRecord) -> DiffEvent | Refusal:
    if isinstance(record.value, RefusedBatch):
        return Refusal(record, record.value.reason, record.value.detail)
    try:
        event = codec.decode_diff(record.value or b"")
    except codec.MalformedEvent as malformed:
        return Refusal(record, malformed.reason, malformed.detail)
    if event.project.encode() != record.key:
        # Its runs could land on two partitions, and be compared with half of the project's.
        return Refusal(record, "wrong_key", "the record's key is not its project")
    return event
