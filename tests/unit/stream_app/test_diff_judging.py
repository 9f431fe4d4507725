"""A batch of the diffs topic: what is kept, what is refused, what is told."""

import pytest

from producers.codec import encode
from producers.events import DiffCompleted, DiffEvent, DiffFailed
from producers.examples import INVALID, VALID, InvalidExample
from stream_app.diff_judging import DiffJudgement, judge_diffs
from stream_app.histories import ProjectHistory
from stream_app.raw_records import RawRecord, Refusal, RefusedBatch, RowKey
from stream_app.versions import UnreadableRecord
from tests.unit.stream_app.test_regressing import diff

KEY = RowKey(0, b"p")


def record(event: DiffEvent) -> RawRecord:
    return RawRecord(0, 0, event.project.encode(), encode(event), 0.0)


def judged(*records: RawRecord) -> DiffJudgement:
    return judge_diffs(records, lambda _: None)


def test_a_batch_is_judged_as_its_diffs_one_by_one_would_be() -> None:
    first, second = diff("a", 1, {"m": 0.9}), diff("b", 2, {"m": 0.5})
    both = judged(record(first), record(second))
    stored = judged(record(first)).histories
    then = judge_diffs([record(second)], stored.get)
    assert both.histories == then.histories
    assert [*map(encode, both.signals)] == [*map(encode, then.signals)]
    assert len(both.signals) == 1


def test_known_and_failed_diffs_are_counted_and_change_nothing() -> None:
    event = diff("a", 1, {"m": 0.9})
    failed = VALID["diff_failed"]
    assert isinstance(failed, DiffFailed)
    stored = judged(record(event)).histories
    judgement = judge_diffs([record(event), record(failed)], stored.get)
    assert judgement == DiffJudgement([], [], {}, 2)


@pytest.mark.parametrize("example", [*INVALID["diff_completed"], *INVALID["diff_failed"]])
def test_what_is_no_diff_is_refused(example: InvalidExample) -> None:
    raw = RawRecord(0, 7, b"p", example.raw.encode(), 0.0)
    (refusal,) = judged(raw).refusals
    assert (refusal.record, refusal.reason, refusal.detail) == (raw, example.reason, example.detail)


def test_a_batch_that_was_refused_already_keeps_its_reason() -> None:
    raw = RawRecord(0, 7, None, RefusedBatch(b"compressed", "batch_damaged", "no zstd", 3), 0.0)
    assert judged(raw).refusals == [Refusal(raw, "batch_damaged", "no zstd")]


@pytest.mark.parametrize("key", [None, b"", b"other"])
def test_a_key_that_is_not_the_project_is_refused(key: bytes | None) -> None:
    event = VALID["diff_completed"]
    assert isinstance(event, DiffCompleted)
    judgement = judged(RawRecord(0, 0, key, encode(event), 0.0))
    assert [refusal.reason for refusal in judgement.refusals] == ["wrong_key"]
    assert judgement.histories == {}


def test_a_defect_costs_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("why")

    monkeypatch.setattr("stream_app.diff_judging.advance", broken)
    judgement = judged(record(diff("a", 1, {"m": 0.9})))
    assert [(each.reason, each.detail) for each in judgement.refusals] == [("failed", "ZeroDivisionError: why")]
    assert judgement.histories == {}


def test_what_cannot_be_read_stops_everything() -> None:
    def load(_: RowKey) -> ProjectHistory:
        raise UnreadableRecord("old")

    with pytest.raises(UnreadableRecord):
        judge_diffs([record(diff("a", 1, {"m": 0.9}))], load)
