"""Which records stop a worker, and what it says then."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.failure_limits import FailureLimitReached, FailureLimits
from stream_app.raw_records import RawRecord, Refusal
from stream_app.settings import StreamSettings

Fate = Literal["applied", "invalid", "failed"]

SETTINGS = StreamSettings(max_consecutive_failures=3, failure_window_records=8, max_failure_ratio=0.5)

stories = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["applied", "applied", "invalid", "failed"])), max_size=60
)


def add(limits: FailureLimits, story: Sequence[tuple[int, Fate]], first_offset: int = 0, runs: int = 100) -> None:
    records = [
        RawRecord(partition, first_offset + index, b"run-%d" % ((first_offset + index) % runs), b"{}", 0.0)
        for index, (partition, _) in enumerate(story)
    ]
    refusals = [
        Refusal(record, fate, "KeyError: 'loss'")
        for record, (_, fate) in zip(records, story, strict=True)
        if fate != "applied"
    ]
    limits.add(records, refusals)


def stops(story: Sequence[tuple[int, Fate]], limits: StreamSettings = SETTINGS) -> bool:
    try:
        add(FailureLimits(limits, "steps"), story)
    except FailureLimitReached:
        return True
    return False


def of(partition: int, *fates: Fate, times: int = 1) -> list[tuple[int, Fate]]:
    return [(partition, fate) for fate in fates] * times


def must_stop(story: Sequence[tuple[int, Fate]]) -> bool:
    """What the settings say, looked at from each record back."""
    for partition in (0, 1):
        fates = [fate for number, fate in story if number == partition]
        for end in range(1, len(fates) + 1):
            until = fates[:end]
            judged = [fate for fate in until if fate != "invalid"]
            if fates[end - 1] == "failed" and judged[-3:] == ["failed"] * 3:
                return True
            if end >= 8 and sum(fate != "applied" for fate in until[-8:]) > 4 and fates[end - 1] != "applied":
                return True
    return False


@settings(deadline=None)
@given(stories)
def test_both_limits_are_those_of_the_settings(story: list[tuple[int, Fate]]) -> None:
    assert stops(story) == must_stop(story)


@settings(deadline=None)
@given(stories, st.lists(st.integers(0, 60), max_size=8))
def test_where_batches_are_cut_makes_no_difference(story: list[tuple[int, Fate]], cuts: list[int]) -> None:
    limits = FailureLimits(SETTINGS, "steps")
    stopped = False
    for start, end in pairwise([0, *sorted(cuts), len(story)]):
        try:
            add(limits, story[start:end], start)
        except FailureLimitReached:
            stopped = True
            break
    assert stopped == stops(story)


def test_only_a_record_that_was_applied_ends_a_row_of_failures() -> None:
    assert stops(of(0, "failed", "invalid", "failed", "invalid", "failed"))
    assert not stops(of(0, "failed", "failed", "applied", "failed", "failed"))


def test_partitions_are_counted_by_themselves() -> None:
    assert not stops([*of(0, "failed", "failed"), *of(1, "failed", "failed")])
    assert stops([*of(0, "failed", "failed"), *of(1, "failed", "failed"), *of(0, "failed")])


def test_a_window_that_is_not_full_says_nothing() -> None:
    assert not stops(of(0, "invalid", times=7))
    assert stops(of(0, "invalid", times=8))


def test_half_is_not_more_than_half() -> None:
    half = of(0, "invalid", "applied", times=20)
    assert not stops(half)
    assert stops([*half, *of(0, "invalid", times=2)])


def test_one_sender_alone_has_no_share() -> None:
    limits = FailureLimits(SETTINGS, "steps")
    add(limits, of(0, "invalid", times=50), runs=1)
    other = RawRecord(1, 0, None, None, 0.0)
    limits.add([other], [Refusal(other, "not_json", "")])
    with pytest.raises(FailureLimitReached):
        add(limits, of(0, "invalid"), 50, runs=1)


def test_a_sender_whose_records_are_no_longer_among_the_latest_does_not_count() -> None:
    limits = FailureLimits(SETTINGS, "steps")
    add(limits, [*of(0, "invalid"), *of(0, "applied", times=8)])
    add(limits, of(0, "invalid", times=50), 100, runs=1)


def test_there_are_settings_that_let_everything_through() -> None:
    none = StreamSettings(max_consecutive_failures=10**9, failure_window_records=8, max_failure_ratio=1.0)
    assert not stops(of(0, "failed", times=500), none)


def test_a_rebalance_begins_the_count_anew() -> None:
    limits = FailureLimits(SETTINGS, "steps")
    add(limits, of(0, "failed", "failed"))
    limits.reset()
    add(limits, of(0, "failed", "failed"))
    with pytest.raises(FailureLimitReached):
        add(limits, of(0, "failed"))


def test_a_sentence_says_where_how_many_why_and_what_to_do() -> None:
    limits = FailureLimits(SETTINGS, "streakline.steps")
    record = RawRecord(5, 0, b"run", b"{}", 0.0)
    with pytest.raises(FailureLimitReached) as raised:
        limits.add([record] * 3, [Refusal(record, "failed", "KeyError: '\x1b[2J\n'")])
    assert str(raised.value) == (
        "judging stops: 3 records in a row of partition 5 of streakline.steps cannot be applied, the last as failed: "
        "\"KeyError: '\\x1b[2J\\n'\"; roll the release back or mend it, or raise STREAKLINE_MAX_CONSECUTIVE_FAILURES "
        "(3) to let them into the dead letters"
    )


def test_the_sentence_of_the_ratio() -> None:
    with pytest.raises(FailureLimitReached) as raised:
        add(FailureLimits(SETTINGS, "streakline.steps"), of(2, "invalid", times=8))
    assert str(raised.value) == (
        "judging stops: 8 of the last 8 records of partition 2 of streakline.steps cannot be applied, the last as "
        "invalid: \"KeyError: 'loss'\"; see whose they are, or raise STREAKLINE_MAX_FAILURE_RATIO (0.5; 1 is no "
        "limit) to let them into the dead letters"
    )
