"""Which letters are taken, left out and refused."""

import pytest
from confluent_kafka import Message
from msgspec.structs import replace

from producers.acknowledged import MAX_RAW_BYTES
from producers.dead_letters import MAX_KEY_BYTES, MAX_VALUE_BYTES, LetterId, Source, letter_of
from streakline.cli.dead_letters_choice import Choice, Requeued, obstacle
from streakline.cli.dead_letters_reading import DeadLetter, dead_letter

TOPICS = ("streakline.steps", "streakline.diffs", "streakline.runs")
FIRST = LetterId(0, 7)
SOURCE = Source("streakline.steps", 1, 41, b"run", b"{}")


def letter(source: Source = SOURCE, reason: str = "failed", at: LetterId = FIRST) -> DeadLetter:
    made = letter_of(source, reason, "why")
    return dead_letter(
        Message("t", at.partition, at.offset, made.key, made.value, headers=[*made.headers], timestamp=(1, 1500))
    )


@pytest.mark.parametrize(
    ("choice", "takes"),
    [
        (Choice(), True),
        (Choice(ids=frozenset({FIRST})), True),
        (Choice(ids=frozenset({LetterId(0, 8), LetterId(1, 7)})), False),
        (Choice(reason="failed"), True),
        (Choice(reason="invalid"), False),
        (Choice(source_topic="streakline.steps"), True),
        (Choice(source_topic="streakline.runs"), False),
        (Choice(reason="failed", source_topic="streakline.runs"), False),
    ],
)
def test_what_is_asked_for(choice: Choice, takes: bool) -> None:
    assert choice.takes(letter()) == takes


def test_what_came_back_is_known_from_both_letters() -> None:
    first = letter()
    second = letter(replace(SOURCE, offset=90, requeued_from=FIRST), at=LetterId(0, 9))
    requeued = Requeued()
    requeued.note(first, b"run")
    assert not requeued.has(first, b"run")
    requeued.note(second, b"run")
    assert requeued.has(first, b"run")
    assert requeued.has(second, b"run")
    assert not requeued.has(letter(at=LetterId(0, 8)), b"run")


@pytest.mark.parametrize(
    ("source", "key"),
    [
        (replace(SOURCE, value=b"[]"), b"run"),
        (replace(SOURCE, value=None), b"run"),
        (replace(SOURCE, topic="streakline.runs"), b"run"),
        (SOURCE, b"other"),
        (SOURCE, None),
    ],
)
def test_a_header_of_another_record_hides_no_letter(source: Source, key: bytes | None) -> None:
    requeued = Requeued()
    requeued.note(letter(replace(source, requeued_from=FIRST), at=LetterId(0, 9)), key)
    assert not requeued.has(letter(), b"run")


def test_a_whole_letter_of_each_topic_can_be_requeued() -> None:
    for topic in TOPICS:
        assert obstacle(letter(replace(SOURCE, topic=topic)), b"run", TOPICS) is None
    assert obstacle(letter(replace(SOURCE, key=None, value=None)), None, TOPICS) is None
    just = replace(SOURCE, value=b"x" * (MAX_RAW_BYTES - 3))
    assert obstacle(letter(just), b"run", TOPICS) is None


@pytest.mark.parametrize("topic", ["streakline.signals", "streakline.dead-letters", "other.steps", "", "../steps"])
def test_no_other_topic_is_published_to(topic: str) -> None:
    said = obstacle(letter(replace(SOURCE, topic=topic)), b"run", TOPICS)
    assert said == "it does not say that it came from streakline.steps, streakline.diffs, streakline.runs"


def test_a_letter_without_headers_cannot_be_requeued() -> None:
    assert obstacle(dead_letter(Message("t", 0, 0, b"run", b"{}")), b"run", TOPICS) is not None


def test_what_was_cut_or_does_not_fit_cannot_be_requeued() -> None:
    long = replace(SOURCE, value=b"x" * (MAX_VALUE_BYTES + 1))
    assert obstacle(letter(long), b"run", TOPICS) == "only 4,194,304 bytes of its 4,194,305 were kept"
    key = b"k" * MAX_KEY_BYTES
    assert obstacle(letter(replace(SOURCE, key=key + b"k")), key, TOPICS) == (
        "only 65,536 bytes of its key's 65,537 were kept"
    )
    large = replace(SOURCE, value=b"x" * (MAX_RAW_BYTES - 2))
    batch = letter(replace(SOURCE, first_offset=3))
    assert obstacle(batch, b"run", TOPICS) == "it is a whole batch that could not be read, and no record"
    assert obstacle(letter(large), b"run", TOPICS) == "it is larger than the 2,093,056 bytes that its topic takes"
