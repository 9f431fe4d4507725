"""A dead letter says what, why and whence, and is never too large to send."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.dead_letters import (
    MAX_DETAIL_CHARACTERS,
    MAX_KEY_BYTES,
    MAX_LETTER_BYTES,
    MAX_VALUE_BYTES,
    LetterId,
    Source,
    letter_id,
    letter_of,
    requeued_from,
)


def test_headers_tell_why_and_whence() -> None:
    letter = letter_of(Source("streakline.steps", 3, 41, b"run", b"rubbish"), "not_json", "invalid character")
    assert letter.headers == [
        ("reason", b"not_json"),
        ("detail", b"invalid character"),
        ("source-topic", b"streakline.steps"),
        ("source-partition", b"3"),
        ("source-offset", b"41"),
    ]
    assert (letter.key, letter.value) == (b"run", b"rubbish")


def test_what_is_too_large_to_send_is_cut_and_says_so() -> None:
    key, value = b"k" * (MAX_KEY_BYTES + 2), b"x" * (MAX_VALUE_BYTES + 1)
    letter = letter_of(Source("steps", 0, 0, key, value), "too_large", "\U0001f642" * 2000)
    assert ("original-bytes", str(MAX_VALUE_BYTES + 1).encode()) in letter.headers
    assert ("original-key-bytes", str(MAX_KEY_BYTES + 2).encode()) in letter.headers
    assert (letter.key, letter.value) == (key[:-2], value[:-1])
    size = len(letter.key or b"") + len(letter.value or b"") + sum(len(raw or b"") for _, raw in letter.headers)
    assert size + 1000 < MAX_LETTER_BYTES


def test_of_a_whole_batch_the_first_offset_is_told_too() -> None:
    letter = letter_of(Source("steps", 3, 41, None, b"compressed", first_offset=12), "batch_too_large", "over 64 MiB")
    headers = dict(letter.headers)
    assert (headers["source-first-offset"], headers["source-offset"]) == (b"12", b"41")
    assert letter.value == b"compressed"


def test_what_just_fits_is_kept_whole() -> None:
    key, value = b"k" * MAX_KEY_BYTES, b"x" * MAX_VALUE_BYTES
    letter = letter_of(Source("steps", 0, 0, key, value), "too_large", "")
    assert (letter.key, letter.value) == (key, value)
    assert {name for name, _ in letter.headers}.isdisjoint({"original-bytes", "original-key-bytes"})


def test_no_value_stays_no_value_and_text_that_is_not_utf8_is_replaced() -> None:
    letter = letter_of(Source("steps", 0, 0, None, None), "not_json", "lone \ud800")
    assert (letter.key, letter.value) == (None, None)
    assert ("detail", b"lone ?") in letter.headers
    long = letter_of(Source("steps", 0, 0, None, None), "not_json", "x" * 5000)
    assert ("detail", b"x" * MAX_DETAIL_CHARACTERS) in long.headers


@settings(deadline=None)
@given(st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1))
def test_a_record_that_was_requeued_says_so_when_it_is_refused_again(partition: int, offset: int) -> None:
    before = LetterId(partition, offset)
    letter = letter_of(Source("steps", 0, 9, b"run", b"{", before), "not_json", "")
    assert requeued_from(letter.headers) == before
    assert letter_id(str(before)) == before


@pytest.mark.parametrize("text", ["", ":", "1:", ":1", "1:2:3", " 1:2", "1:2\n", "1:-2", "٣:1", "1:" + "9" * 19, "a:b"])
def test_what_is_no_id_is_none(text: str) -> None:
    assert letter_id(text) is None
    assert requeued_from([("requeued-from", text.encode())]) is None


@pytest.mark.parametrize("headers", [[], [("requeued-from", None)], [("requeued-from", "1:2")], [("other", b"1:2")]])
def test_a_header_that_says_nothing_is_passed_over(headers: list[tuple[str, object]]) -> None:
    assert requeued_from(headers) is None
