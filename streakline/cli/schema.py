"""`streakline schema`: what an event is, for trainers in other languages."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from producers.examples import EventName

_NAMES = ", ".join(get_args(EventName))


def schema(
    event: Annotated[
        EventName | None, typer.Argument(metavar="EVENT", help=f"one of {_NAMES}", show_default=False)
    ] = None,
    *,
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="write the schemas of all events here, with examples")
    ] = None,
) -> None:
    """Print the JSON Schema of one event, or write those of all with examples to test a trainer against."""
    from producers.schema import schema_files, write_schemas
    from streakline.cli.output import cannot_write, say

    if (event is None) == (output is None):
        raise typer.BadParameter(f"name one event ({_NAMES}), or an --output for all of them", param_hint="EVENT")
    if output is None:
        say(schema_files()[f"{event}.schema.json"].rstrip("\n"))
        return
    try:
        paths = write_schemas(output)
    except OSError as error:
        raise cannot_write(str(output), error) from None
    for path in paths:
        say(str(path))
