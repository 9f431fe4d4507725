"""The dead-letters topic, read."""

import re
from typing import TYPE_CHECKING

import typer
from msgspec import Struct

from producers.dead_letters import LetterId, letter_id, requeued_from
from streakline.cli.errors import CommandError, bad_input

if TYPE_CHECKING:
    from confluent_kafka import Message

    from producers.kafka import KafkaSettings


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One record of the dead-letters topic; what its headers do not say is None."""

    id: str
    """as `producers.dead_letters.LetterId` spells it"""
    partition: int
    offset: int
    ts: float | None
    """Unix seconds at which it was refused"""
    reason: str | None
    detail: str | None
    source_topic: str | None
    source_partition: int | None
    source_offset: int | None
    source_first_offset: int | None
    """where it is a whole batch that could not be read: of its first record; `source_offset` is its last's"""
    original_bytes: int | None
    """of the value, where it was cut"""
    original_key_bytes: int | None
    requeued_from: str | None
    """id of the letter that it was before"""
    key: str | None
    """what is not UTF-8 in it is escaped"""
    value: bytes | None
    """as it came; base64 in JSON"""


def dead_letter(message: "Message") -> DeadLetter:
    """What a record says, whatever its headers are."""
    headers = dict(message.headers() or ())
    kind, milliseconds = message.timestamp()
    before = requeued_from(headers)
    return DeadLetter(
        id=str(id_of(message)),
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        ts=milliseconds / 1000 if kind else None,
        reason=_text(headers.get("reason")),
        detail=_text(headers.get("detail")),
        source_topic=_text(headers.get("source-topic")),
        source_partition=_count(headers.get("source-partition")),
        source_offset=_count(headers.get("source-offset")),
        source_first_offset=_count(headers.get("source-first-offset")),
        original_bytes=_count(headers.get("original-bytes")),
        original_key_bytes=_count(headers.get("original-key-bytes")),
        requeued_from=None if before is None else str(before),
        key=_text(message.key()),
        value=message.value(),
    )


def id_of(message: "Message") -> LetterId:
    """Where it is."""
    return LetterId(message.partition() or 0, message.offset() or 0)


def given_id(text: str) -> LetterId:
    """The id that somebody typed. Raises `typer.BadParameter` for what is none."""
    found = letter_id(text)
    if found is None:
        raise typer.BadParameter("an id is PARTITION:OFFSET, as `streakline dead-letters list` shows it")
    return found


def read_letter(kafka: "KafkaSettings", topic: str, wanted: LetterId) -> "Message":
    """That letter. Raises `CommandError` where it is not there."""
    from streakline.cli.reading import read_records

    for message in read_records(kafka, topic):
        if id_of(message) == wanted:
            return message
    raise no_such_letter(wanted)


def no_such_letter(wanted: LetterId) -> CommandError:
    """The sentence for an id that is of no letter."""
    return bad_input(f"there is no dead letter {wanted}: `streakline dead-letters list` shows those there are")


def _text(raw: str | bytes | None) -> str | None:
    return raw.decode(errors="backslashreplace") if isinstance(raw, bytes) else raw


def _count(raw: str | bytes | None) -> int | None:
    text = _text(raw) or ""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None
