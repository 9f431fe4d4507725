"""`streakline runs`: one row a run."""

import contextlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from streakline.cli.options import AsJson, Bootstrap, kafka_settings, settings_of, topic_settings
from streakline.cli.text import duration

if TYPE_CHECKING:
    from producers.kafka import KafkaSettings
    from producers.topics import Topics
    from streakline.cli.run_rows import DiffState, RunBook, RunRow

_COLUMNS = ("run", "project", "attempt", "status", "last step", "last loss", "critical", "warning", "info", "started")
_DIFF_COLUMN = "diff"
"""only where something is known of one"""
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

    kafka, topics = kafka_settings(bootstrap), topic_settings()
    names = topic_names(topics)
    book = RunBook()
    _read_lifecycles(kafka, names, book)
    _read_signals(kafka, names, book)
    _read_states(kafka, names, book)
    _read_diffs(kafka, names, book)
    _read_board(topics.topic_prefix, book)
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
    from stream_app.records import decode_record
    from stream_app.versions import UnreadableRecord

    unreadable = Unreadable()
    for message in read_records(kafka, names.state_changelog):
        run_id = (message.key() or b"").decode(errors="backslashreplace")
        value = message.value()
        try:
            book.add_state(run_id, None if value is None else decode_record(value).state)
        except UnreadableRecord:
            unreadable.records += 1
    unreadable.tell(names.state_changelog)


def _read_diffs(kafka: "KafkaSettings", names: "Topics", book: "RunBook") -> None:
    from producers.codec import MalformedEvent, decode_diff
    from streakline.cli.reading import Unreadable, read_records

    unreadable = Unreadable()
    for message in read_records(kafka, names.diffs):
        try:
            book.add_diff(decode_diff(message.value() or b""))
        except MalformedEvent:
            unreadable.records += 1
    unreadable.tell(names.diffs)


def _read_board(prefix: str, book: "RunBook") -> None:
    """The diffs that are being made, where Redis is installed and answers."""
    from producers.redis.settings import RedisSettings

    url = settings_of(RedisSettings).redis_url
    try:
        from producers.redis.client import RedisAway, reach
        from workers.coordination.board import Board
    except ImportError:
        return
    with contextlib.suppress(RedisAway):
        client = reach(url)
        for each in () if client is None else Board(client, prefix).all():
            book.add_diff_under_way(
                each.run_id, each.attempt, stage=each.stage, percent=each.percent, eta_seconds=each.eta_seconds
            )


def _print_json(rows: Iterable["RunRow"]) -> None:
    import msgspec

    from streakline.cli.output import standard_output

    with standard_output() as output:
        for row in rows:
            output.json_line(msgspec.json.encode(row))


def _print_table(rows: Sequence["RunRow"]) -> None:
    from streakline.cli.table import print_table

    if any(row.diff is not None for row in rows):
        print_table((*_COLUMNS, _DIFF_COLUMN), ((*_cells(row), diff_cell(row.diff)) for row in rows), numbers=_NUMBERS)
    else:
        print_table(_COLUMNS, map(_cells, rows), numbers=_NUMBERS)


def diff_cell(diff: "DiffState | None") -> str:
    """How far a diff is, in a few words.

    >>> from streakline.cli.run_rows import DiffState
    >>> diff_cell(DiffState(state="making", stage="behaviour", percent=41.7, eta_seconds=130))
    'behaviour 42 %, 2 min'
    >>> diff_cell(DiffState(state="failed", reason="out_of_memory")), diff_cell(DiffState(state="done"))
    ('failed: out_of_memory', 'done')
    """
    if diff is None:
        return ""
    if diff.state != "making":
        return diff.state if diff.reason is None else f"{diff.state}: {diff.reason}"
    left = "" if diff.eta_seconds is None else f", {duration(diff.eta_seconds)}"
    return f"{diff.stage} {diff.percent or 0:.0f} %{left}"


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
