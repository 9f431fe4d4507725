"""`streakline dead-letters`: the records that could not be applied."""

from collections.abc import Iterable

import typer

from streakline.cli.dead_letters_reading import DeadLetter, dead_letter
from streakline.cli.dead_letters_requeue import requeue
from streakline.cli.dead_letters_show import show
from streakline.cli.options import AsJson, Bootstrap, kafka_settings, topic_settings

app = typer.Typer(help="The records that could not be applied, with the reasons.", no_args_is_help=True)

_COLUMNS = ("id", "time", "source", "reason", "detail", "requeued from", "key", "value")
_PREVIEW_BYTES = 60


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


app.command("show")(show)
app.command("requeue")(requeue)


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
        letter.id,
        "" if letter.ts is None else moment(letter.ts),
        f"{letter.source_topic or '?'}/{_or_unknown(letter.source_partition)}/{_or_unknown(letter.source_offset)}",
        letter.reason or "",
        letter.detail or "",
        letter.requeued_from or "",
        letter.key or "",
        printable_bytes(value[:_PREVIEW_BYTES]) + ("…" if len(value) > _PREVIEW_BYTES else ""),
    )


def _or_unknown(number: int | None) -> str:
    return "?" if number is None else str(number)
