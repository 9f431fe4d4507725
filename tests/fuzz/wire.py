"""What comes over Kafka: events, signals and diffs, the batches that they come in, and states read back."""

from producers.codec import MalformedEvent, decode, decode_diff, decode_signal, encode
from producers.events import Signal
from streakline.report.markers import marker_of
from stream_app.bounded_batches import BoundedRecords
from stream_app.diff_judging import judge_diffs
from stream_app.engine.thresholds import ThresholdPolicy
from stream_app.histories import decode_history
from stream_app.judging import judge
from stream_app.raw_records import RawRecord, Refusal
from stream_app.records import decode_head, decode_record
from stream_app.versions import UnreadableRecord
from tests.fuzz.target import Target
from workers.archive.intake import _fits
from workers.archive.rows import ArchivedEvent, Record, day_of, table_of, to_events, to_table

NOW = 1_800_000_000.0


def _judge_steps(raw: bytes) -> None:
    """One run's records, a line each, as a worker takes them."""
    records = [RawRecord(0, offset, _key(line, "run_id"), line, NOW) for offset, line in enumerate(raw.split(b"\n"))]
    judgement = judge(records, lambda _: None, ThresholdPolicy(), NOW)
    _check(judgement.refusals)
    for signal in judgement.signals:
        assert decode_signal(encode(signal)).signal_id == signal.signal_id
        marker_of(signal)


def _judge_diffs(raw: bytes) -> None:
    records = [RawRecord(0, offset, _key(line, "project"), line, NOW) for offset, line in enumerate(raw.split(b"\n"))]
    judgement = judge_diffs(records, lambda _: None)
    _check(judgement.refusals)
    for signal in judgement.signals:
        encode(signal)


def _archive(event: ArchivedEvent) -> None:
    """Into a row and back."""
    if isinstance(event, Signal) and not _fits(event):
        return
    record = Record(0, None, event)
    day_of(record)
    (batch,) = to_table(table_of(event), "steps", 0, [record]).to_batches()
    list(to_events(table_of(event), batch))


def _read_signal(raw: bytes) -> None:
    signal = decode_signal(raw)
    marker_of(signal)
    _archive(signal)


def _read_batches(raw: bytes) -> None:
    records = BoundedRecords(raw, max_batch_bytes=1 << 20)
    while records.has_next():
        batch = records.next_batch()
        assert batch is not None
        batch.validate_crc()
        if not batch.is_control_batch:
            for record in batch:
                assert isinstance(record.value, bytes | None)


def _read_states(raw: bytes) -> None:
    for read in (decode_record, decode_head, decode_history):
        try:
            read(raw)
        except UnreadableRecord:
            continue


def _key(line: bytes, name: str) -> bytes:
    try:
        return str(getattr(decode(line) if name == "run_id" else decode_diff(line), name)).encode()
    except MalformedEvent:
        return b""


def _check(refusals: list[Refusal]) -> None:
    """A worker gets along with whatever an event does to the engine, but none should."""
    failed = [refusal.detail for refusal in refusals if refusal.reason == "failed"]
    # That a run may have only so many dead layers is a limit of the engine's own.
    assert all("TooManyLayers" in detail for detail in failed), failed


TARGETS = (
    Target(name="steps", decode=_judge_steps),
    Target(name="events_archived", decode=lambda raw: _archive(decode(raw)), allowed=(MalformedEvent,)),
    Target(name="signals", decode=_read_signal, allowed=(MalformedEvent,)),
    Target(name="diffs", decode=_judge_diffs),
    Target(name="batches", decode=_read_batches),
    Target(name="states", decode=_read_states),
)
