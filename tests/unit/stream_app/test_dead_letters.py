"""A dead letter says what, why and whence, and is never too large to send."""

from stream_app.dead_letters import MAX_VALUE_BYTES, headers_of, value_of
from stream_app.raw_records import RawRecord, Refusal


def test_headers_tell_why_and_whence() -> None:
    refusal = Refusal(RawRecord(3, 41, b"run", b"rubbish", 0.0), "not_json", "invalid character")
    assert headers_of(refusal, "streakline.steps") == [
        ("reason", b"not_json"),
        ("detail", b"invalid character"),
        ("source-topic", b"streakline.steps"),
        ("source-partition", b"3"),
        ("source-offset", b"41"),
    ]
    assert value_of(refusal) == b"rubbish"


def test_a_value_too_large_to_send_is_cut_and_says_so() -> None:
    refusal = Refusal(RawRecord(0, 0, None, b"x" * (MAX_VALUE_BYTES + 1), 0.0), "too_large", "")
    assert ("original-bytes", str(MAX_VALUE_BYTES + 1).encode()) in headers_of(refusal, "steps")
    assert value_of(refusal) == b"x" * MAX_VALUE_BYTES


def test_no_value_stays_no_value_and_text_that_is_not_utf8_is_replaced() -> None:
    refusal = Refusal(RawRecord(0, 0, b"a", None, 0.0), "not_json", "lone \ud800")
    assert value_of(refusal) is None
    assert ("detail", b"lone ?") in headers_of(refusal, "steps")
