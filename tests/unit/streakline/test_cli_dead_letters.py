import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from streakline.cli.dead_letters import _cells
from streakline.cli.dead_letters_reading import DeadLetter, dead_letter
from tests.commands import streakline


def test_what_the_headers_say() -> None:
    headers: list[tuple[str, str | bytes | None]] = [
        ("reason", b"not_json"),
        ("detail", "größe".encode()),
        ("source-topic", b"streakline.steps"),
        ("source-partition", b"3"),
        ("source-offset", b"41"),
        ("original-bytes", b"5000000"),
        ("original-key-bytes", b"70000"),
        ("requeued-from", b"3:4"),
    ]
    message = Message("t", 1, 7, b"run-\xff", b"\x00{", headers=headers, timestamp=(1, 1500))
    letter = dead_letter(message)
    assert letter == DeadLetter(
        id="1:7",
        partition=1,
        offset=7,
        ts=1.5,
        reason="not_json",
        detail="größe",
        source_topic="streakline.steps",
        source_partition=3,
        source_offset=41,
        source_first_offset=None,
        original_bytes=5_000_000,
        original_key_bytes=70_000,
        requeued_from="3:4",
        key=r"run-\xff",
        value=b"\x00{",
    )
    id_, _, *others = _cells(letter)
    assert id_ == "1:7"
    assert others == ["streakline.steps/3/41", "not_json", "größe", "3:4", r"run-\xff", r"\x00{"]


def test_a_record_without_headers_is_a_dead_letter_too() -> None:
    letter = dead_letter(Message("t", 0, 0, None, None))
    assert (letter.reason, letter.source_offset, letter.key, letter.value, letter.ts) == (None, None, None, None, None)
    assert _cells(letter) == ("0:0", "", "?/?/?", "", "", "", "", "")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["source-offset", "reason", "source-topic", "requeued-from"]), st.none() | st.binary()
        )
    )
)
def test_no_header_is_too_strange(headers: list[tuple[str, str | bytes | None]]) -> None:
    dead_letter(Message("t", 0, 0, None, None, headers=headers))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "7"], "an id is PARTITION:OFFSET, as `streakline dead-letters list` shows it"),
        (["show", "0:7", "--raw", "--json"], "Invalid value for --raw, --json: choose one of them"),
        (["requeue"], "Invalid value for ID, --reason, --all: give ids of letters, or a reason, or --all"),
        (["requeue", "0:7", "--all"], "give ids of letters, or a reason, or --all"),
        (["requeue", "--all", "--reason", "failed"], "give ids of letters, or a reason, or --all"),
        (["requeue", "0:7", "1:-2"], "an id is PARTITION:OFFSET"),
        (
            ["requeue", "--all", "--source-topic", "streakline.signals"],
            "is one of streakline.steps, streakline.diffs, ",
        ),
        (["requeue", "0:7", "--source-topic", "streakline.steps"], "goes with --reason or --all"),
    ],
)
def test_options_that_cannot_be_right_are_one_sentence_before_the_broker_is_asked(
    arguments: list[str], sentence: str
) -> None:
    ended = streakline("dead-letters", *arguments, environ={"STREAKLINE_KAFKA_BOOTSTRAP": "127.0.0.1:1"})
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err
    assert ended.err.count("\n") == 1
