from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from streakline.cli.dead_letters import DeadLetter, _cells, dead_letter


def test_what_the_headers_say() -> None:
    headers: list[tuple[str, str | bytes | None]] = [
        ("reason", b"not_json"),
        ("detail", "größe".encode()),
        ("source-topic", b"streakline.steps"),
        ("source-partition", b"3"),
        ("source-offset", b"41"),
    ]
    message = Message("t", 1, 7, b"run-\xff", b"\x00{", headers=headers, timestamp=(1, 1500))
    letter = dead_letter(message)
    assert letter == DeadLetter(
        partition=1,
        offset=7,
        ts=1.5,
        reason="not_json",
        detail="größe",
        source_topic="streakline.steps",
        source_partition=3,
        source_offset=41,
        key=r"run-\xff",
        value=b"\x00{",
    )
    assert _cells(letter)[1:] == ("streakline.steps/3/41", "not_json", "größe", r"run-\xff", r"\x00{")


def test_a_record_without_headers_is_a_dead_letter_too() -> None:
    letter = dead_letter(Message("t", 0, 0, None, None))
    assert (letter.reason, letter.source_offset, letter.key, letter.value, letter.ts) == (None, None, None, None, None)
    assert _cells(letter) == ("", "?/?/?", "", "", "", "")


@given(st.lists(st.tuples(st.sampled_from(["source-offset", "reason", "source-topic"]), st.none() | st.binary())))
def test_no_header_is_too_strange(headers: list[tuple[str, str | bytes | None]]) -> None:
    dead_letter(Message("t", 0, 0, None, None, headers=headers))
