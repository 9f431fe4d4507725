"""`streakline runs`: one row a run."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from streakline.cli.options import AsJson, Bootstrap, kafka_settings, topic_settings

if TYPE_CHECKING:
    from producers.kafka import KafkaSettings
    from producers.topics import Topics
    from streakline.cli.run_rows import RunBook, RunRow

_COLUMNS = ("run", "project", "attempt", "status", "last step", "last loss", "critical", "warning", "info", "started")
_NUMBERS = ("attempt", "last step", "last loss", "critical", "warning", "info")


def runs(
    *,
    project: Annotated[str | None, typer.Option(help="only this project's")] = None,
    json: AsJson = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Show every run that the topics know of: those that were announced and those that were not."""
    from producers.topics import topic_names
    from streakline.cli.output import note
    from streakline.cli.run_rows import RunBook

    kafka, names = kafka_settings(bootstrap), topic_names(topic_settings())
    book = RunBook()
    _read_lifecycles(kafka, names, book)
    _read_signals(kafka, names, book)
    _read_states(kafka, names, book)
    rows = [row for row in book.rows() if project in (None, row.project)]
    if json:
        _print_json(rows)
    elif rows:
        _print_table(rows)
    if not rows:
        note("there are no runs" + ("" if project is None else " in this project"))


def _read_lifecycles(kafka: "KafkaSettings", names: "Topics", book: "RunBook") -> None:
    from producers.codec import MalformedEvent, decode
    from producers.events import StepEvent
    from streakline.cli.reading import Unreadable, read_records

    unreadable = Unreadable()
    for message in read_records(kafka, names.runs):
        try:
            event = decode(message.value() or b"")
        except MalformedEvent:
            unreadable.records += 1
            continue
        # A step does not belong there, and says nothing of a run's life.
        if not isinstance(event, StepEvent):
            book.add_event(event)
    unreadable.tell(names.runs)


def _read_signals(kafka: "KafkaSettings", names: "Topics", book: "RunBook") -> None:
    from streakline.cli.reading import Unreadable, read_signals

    unreadable = Unreadable()
    for signal in read_signals(kafka, names.signals, unreadable):
        book.add_signal(signal)
    unreadable.tell(names.signals)


def _read_states(kafka: "KafkaSettings", names: "Topics", book: "RunBook") -> None:
    from streakline.cli.reading import Unreadable, read_records
    from stream_app.records import UnreadableRecord, decode_record

    unreadable = Unreadable()
    for message in read_records(kafka, names.state_changelog):
        run_id = (message.key() or b"").decode(errors="backslashreplace")
        value = message.value()
        try:
            book.add_state(run_id, None if value is None else decode_record(value).state)
        except UnreadableRecord:
            unreadable.records += 1
    unreadable.tell(names.state_changelog)


def _print_json(rows: Iterable["RunRow"]) -> None:
    import msgspec

    from streakline.cli.output import standard_output

    with standard_output() as output:
        for row in rows:
            output.json_line(msgspec.json.encode(row))


def _print_table(rows: Iterable["RunRow"]) -> None:
    from streakline.cli.table import print_table

    print_table(_COLUMNS, map(_cells, rows), numbers=_NUMBERS)


def _cells(row: "RunRow") -> tuple[str, ...]:
    from streakline.cli.text import moment

    return (
        row.run,
        row.project,
        str(row.attempt),
        row.status,
        "" if row.last_step is None else str(row.last_step),
        "" if row.last_loss is None else f"{row.last_loss:.4g}",
        str(row.signals.critical),
        str(row.signals.warning),
        str(row.signals.info),
        "" if row.started is None else moment(row.started),
    )
