"""`streakline dead-letters show`: one letter, whole."""

from typing import TYPE_CHECKING, Annotated

import typer

from streakline.cli.dead_letters_reading import dead_letter, given_id, read_letter
from streakline.cli.options import AsJson, Bootstrap, kafka_settings, topic_settings

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streakline.cli.output import Output


def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="PARTITION:OFFSET, as `list` shows it")],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="the value's bytes as they came, for a file or a pipe")] = False,
    json: AsJson = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Show one dead letter: its headers, and its value with what a terminal would obey escaped."""
    import msgspec

    from producers.topics import topic_names
    from streakline.cli.output import standard_output

    if raw and json:
        raise typer.BadParameter("choose one of them", param_hint="--raw, --json")
    wanted, kafka = given_id(letter), kafka_settings(bootstrap)
    message = read_letter(kafka, topic_names(topic_settings()).dead_letters, wanted)
    with standard_output() as output:
        if raw:
            if output.is_terminal:
                raise typer.BadParameter("a terminal may obey these bytes: send them to a file", param_hint="--raw")
            output.write(message.value() or b"")
        elif json:
            output.json_line(msgspec.json.encode(dead_letter(message)))
        else:
            _write(message, output)


def _write(message: "Message", output: "Output") -> None:
    from streakline.cli.text import moment, printable, printable_bytes

    letter = dead_letter(message)
    value = message.value()
    facts = [
        ("id", letter.id),
        ("time", "" if letter.ts is None else moment(letter.ts)),
        ("key", "none" if message.key() is None else printable_bytes(message.key())),
        *(
            (printable(name), printable_bytes(raw) if isinstance(raw, bytes) else "")
            for name, raw in dict(message.headers() or ()).items()
        ),
        ("value", "none" if value is None else f"{len(value):,} bytes"),
    ]
    width = max(len(name) for name, _ in facts)
    for name, text in facts:
        output.line(f"{name:<{width}}  {text}".rstrip().encode(errors="backslashreplace"))
    if value:
        output.line(b"")
        output.line(printable_bytes(value).encode(errors="backslashreplace"))
