import pytest

from producers.tally import Tally


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_minute_has_one_line_and_the_next_says_the_rest(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr("producers.tally.time.monotonic", lambda: now)
    tally = Tally("sft-7", "broker:9092")
    tally.published = 3
    for _ in range(3):
        tally.complain("the broker is down")
        tally.complain("the disk is full")
    assert lines(caplog) == [
        "run sft-7: the broker is down (broker at broker:9092); training goes on, 3 records wait, 0 dropped, 0 failed"
    ]
    now += 59.9
    tally.complain("the broker is down")
    assert len(lines(caplog)) == 1
    now += 0.1
    for number in range(10):
        tally.complain(f"trouble {number}")
    assert lines(caplog)[1].startswith("run sft-7: the disk is full; the broker is down; trouble 0 (broker at ")
    tally.sum_up("/spool")
    assert lines(caplog)[2] == "run sft-7: at last: trouble 1; trouble 2; trouble 3; trouble 4; trouble 5"
    assert lines(caplog)[3].startswith("run sft-7: 3 of its records wait in /spool for the broker at broker:9092: ")


def test_a_run_that_went_well_ends_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally("sft-7", "broker:9092")
    tally.complain("the broker is down")
    tally.complain("the disk is full")
    tally.published = tally.acknowledged = 3
    tally.sum_up("/spool")
    assert len(lines(caplog)) == 1
