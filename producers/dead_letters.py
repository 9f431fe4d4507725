"""A dead letter: a record that could not be applied, as it came, with why and whence in its headers."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

MAX_KEY_BYTES = 64 << 10
MAX_VALUE_BYTES = 4 << 20
"""what is longer is cut: a batch of a few kilobytes may hold a record too large to be sent again"""
MAX_LETTER_BYTES = 8 << 20
"""more than the largest letter with its headers"""

MAX_DETAIL_CHARACTERS = 1000

REQUEUED_FROM = "requeued-from"
"""header of a record that was requeued, and of its next letter: the id of the letter that it was"""

_ID = re.compile(r"([0-9]{1,9}):([0-9]{1,18})", re.ASCII)


class LetterId(Struct, frozen=True, order=True):
    """Where a letter is on the dead-letters topic.

    >>> str(LetterId(2, 41))
    '2:41'
    """

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Source(Struct, frozen=True):
    """A record that could not be applied."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    requeued_from: LetterId | None = None
    first_offset: int | None = None
    """where it is a whole batch that could not be read: of its first record that was not; `offset` is its last's"""


class Letter(Struct, frozen=True):
    """What is sent to the dead-letters topic."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def letter_of(source: Source, reason: str, detail: str) -> Letter:
    """The letter of `source`: UTF-8 headers; ``original-bytes`` or ``original-key-bytes`` only where one was cut."""
    headers = {
        "reason": reason,
        "detail": detail[:MAX_DETAIL_CHARACTERS],
        "source-topic": source.topic,
        "source-partition": str(source.partition),
        "source-offset": str(source.offset),
    }
    if source.first_offset is not None:
        headers["source-first-offset"] = str(source.first_offset)
    if source.requeued_from is not None:
        headers[REQUEUED_FROM] = str(source.requeued_from)
    for name, raw, most in (
        ("original-bytes", source.value, MAX_VALUE_BYTES),
        ("original-key-bytes", source.key, MAX_KEY_BYTES),
    ):
        if raw is not None and len(raw) > most:
            headers[name] = str(len(raw))
    return Letter(
        None if source.key is None else source.key[:MAX_KEY_BYTES],
        None if source.value is None else source.value[:MAX_VALUE_BYTES],
        [(name, text.encode(errors="replace")) for name, text in headers.items()],
    )


def letter_id(text: str) -> LetterId | None:
    """The id that `text` spells; None where it spells none.

    >>> letter_id("2:41"), letter_id("2"), letter_id("-1:3")
    (LetterId(partition=2, offset=41), None, None)
    """
    match = _ID.fullmatch(text)
    return None if match is None else LetterId(int(match[1]), int(match[2]))


def requeued_from(headers: Mapping[str, object] | Iterable[tuple[str, object]] | None) -> LetterId | None:
    """The letter that a record with `headers` says it was; None where it says nothing that could be right."""
    raw = dict(headers or ()).get(REQUEUED_FROM)
    return letter_id(raw.decode(errors="replace")) if isinstance(raw, bytes) else None
