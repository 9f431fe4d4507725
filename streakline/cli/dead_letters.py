"""`streakline dead-letters`: the records that could not be applied."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer
from msgspec import Struct

from streakline.cli.options import AsJson, Bootstrap, kafka_settings, topic_settings

if TYPE_CHECKING:
    from confluent_kafka import Message

app = typer.Typer(help="The records that could not be applied, with the reasons.", no_args_is_help=True)

_COLUMNS = ("time", "source", "reason", "detail", "key", "value")
_PREVIEW_BYTES = 60


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One record of the dead-letters topic; what its headers do not say is None."""

    partition: int
    offset: int
    ts: float | None
    """Unix seconds at which it was refused"""
    reason: str | None
    detail: str | None
    source_topic: str | None
    source_partition: int | None
    source_offset: int | None
    key: str | None
    """what is not UTF-8 in it is escaped"""
    value: bytes | None
    """as it came; base64 in JSON"""


@app.callback()
def _dead_letters() -> None:
    """The records that could not be applied, with the reasons."""


@app.command("list")
def list_(*, json: AsJson = False, bootstrap: Bootstrap = None) -> None:
    """Show the dead letters: where each came from, why it was refused, and what it was."""
    from producers.topics import topic_names
    from streakline.cli.output import note
    from streakline.cli.reading import read_records

    kafka, topic = kafka_settings(bootstrap), topic_names(topic_settings()).dead_letters
    letters = map(dead_letter, read_records(kafka, topic, beside_output=json))
    if not (_print_json(letters) if json else _print_table(letters)):
        note("there are no dead letters")


def dead_letter(message: "Message") -> DeadLetter:
    """What a record says, whatever its headers are."""
    headers = dict(message.headers() or ())
    kind, milliseconds = message.timestamp()
    return DeadLetter(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        ts=milliseconds / 1000 if kind else None,
        reason=_text(headers.get("reason")),
        detail=_text(headers.get("detail")),
        source_topic=_text(headers.get("source-topic")),
        source_partition=_count(headers.get("source-partition")),
        source_offset=_count(headers.get("source-offset")),
        key=_text(message.key()),
        value=message.value(),
    )


def _print_json(letters: Iterable[DeadLetter]) -> int:
    import msgspec

    from streakline.cli.output import standard_output

    count = 0
    with standard_output() as output:
        for count, letter in enumerate(letters, 1):  # noqa: B007  # wanted after the loop
            output.json_line(msgspec.json.encode(letter))
    return count


def _print_table(letters: Iterable[DeadLetter]) -> int:
    from streakline.cli.table import print_table

    rows = sorted(((letter.ts or 0.0, letter.partition, letter.offset), _cells(letter)) for letter in letters)
    if rows:
        print_table(_COLUMNS, [cells for _, cells in rows])
    return len(rows)


def _cells(letter: DeadLetter) -> tuple[str, ...]:
    from streakline.cli.text import moment, printable_bytes

    value = letter.value or b""
    return (
        "" if letter.ts is None else moment(letter.ts),
        f"{letter.source_topic or '?'}/{_or_unknown(letter.source_partition)}/{_or_unknown(letter.source_offset)}",
        letter.reason or "",
        letter.detail or "",
        letter.key or "",
        printable_bytes(value[:_PREVIEW_BYTES]) + ("…" if len(value) > _PREVIEW_BYTES else ""),
    )


def _or_unknown(number: int | None) -> str:
    return "?" if number is None else str(number)


def _text(raw: str | bytes | None) -> str | None:
    return raw.decode(errors="backslashreplace") if isinstance(raw, bytes) else raw


def _count(raw: str | bytes | None) -> int | None:
    text = _text(raw) or ""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None
