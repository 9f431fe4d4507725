"""`streakline replay`: recorded events, published again."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from streakline.cli.errors import CommandError, ExitCode, bad_input
from streakline.cli.options import BROKER_TIMEOUT_SECONDS, Bootstrap, EventFiles, kafka_settings, topic_settings

if TYPE_CHECKING:
    from producers.replay import Published, Recorded
    from streakline.cli.inputs import Input
    from streakline.cli.lines import Line, Problems
    from streakline.cli.progress import Advance


def _speed(value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise typer.BadParameter("the speed is a number of at least 0")
    return value


def _run_id(value: str | None) -> str | None:
    from producers.events import IDENTIFIER

    if value is not None and not re.match(IDENTIFIER, value):
        raise typer.BadParameter("a run id is 1-128 characters of A-Z a-z 0-9 . _ : / @ -")
    return value


def _attempt(value: int | None) -> int | None:
    from producers.events import MAX_INTEGER

    if value is not None and not 0 <= value <= MAX_INTEGER:
        raise typer.BadParameter(f"an attempt is a whole number from 0 to {MAX_INTEGER}")
    return value


def replay(
    files: EventFiles,
    *,
    speed: Annotated[
        float,
        typer.Option(callback=_speed, help="times as fast as it was recorded; 0 is as fast as the broker takes it"),
    ] = 0.0,
    run_id: Annotated[
        str | None, typer.Option(callback=_run_id, help="publish as this run; the files must hold one run")
    ] = None,
    attempt: Annotated[
        int | None,
        typer.Option(callback=_attempt, help="publish as this attempt; the files must hold one attempt of one run"),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="publish lines that hold no event as well, as they are")] = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Publish recorded events to the steps topic, those of a run's life to the runs topic as well.

    A run that has been seen ignores its own steps the second time: use --attempt or --run-id to have them judged anew.
    Lines that hold no event are told of on stderr and skipped; the exit code is 1 then, and 3 where the broker did not
    acknowledge everything.

    Also read: Hugging Face's trainer_state.json, TensorBoard event files and folders of them, CSV (of W&B and others).
    A run is called as its file, its folder or its column is.
    """
    from producers.replay import publish
    from producers.topics import topic_names
    from streakline.cli.inputs import open_inputs, size_of_inputs
    from streakline.cli.lines import Problems
    from streakline.cli.progress import progress

    if raw and (run_id is not None or attempt is not None):
        raise typer.BadParameter("publishes lines as they are: leave --run-id and --attempt out", param_hint="--raw")
    kafka, names = kafka_settings(bootstrap), topic_names(topic_settings())
    problems = Problems()
    inputs = open_inputs(files, problems)
    if raw:
        _check_lines(inputs)
    if run_id is not None or attempt is not None:
        _check_one_run(inputs, one_attempt=attempt is not None)
    with progress("publishing", total=size_of_inputs(inputs), unit="bytes") as advance:
        events = _events(inputs, problems, advance, run_id=run_id, attempt=attempt, raw=raw)
        published = publish(kafka, names, events, speed=speed, broker_timeout_seconds=BROKER_TIMEOUT_SECONDS)
    _report(published, names.steps)
    problems.raise_if_any()


def _events(
    inputs: Sequence["Input"],
    problems: "Problems",
    advance: "Advance",
    *,
    run_id: str | None,
    attempt: int | None,
    raw: bool,
) -> Iterator["Recorded"]:
    from producers.acknowledged import MAX_RAW_BYTES
    from producers.codec import MAX_EVENT_BYTES, MalformedEvent
    from producers.replay import recorded, recorded_as_is
    from streakline.cli.inputs import read_inputs
    from streakline.cli.lines import too_large
    from streakline.cli.output import note

    max_bytes = MAX_RAW_BYTES if raw else MAX_EVENT_BYTES
    for line in read_inputs(inputs, on_read=advance, on_note=note, max_bytes=max_bytes):
        problems.lines += 1
        try:
            if line.is_cut:
                raise too_large(line)
            event = recorded(line.raw, run_id=run_id, attempt=attempt)
        except MalformedEvent as error:
            if line.is_cut or not raw:
                problems.add(line, str(error))
                continue
            event = recorded_as_is(line.raw)
        yield event


def _check_lines(inputs: Sequence["Input"]) -> None:
    """Before anything is published: only JSON lines can be published as they are."""
    from streakline.cli.inputs import recordings
    from streakline.cli.text import printable

    for recording in recordings(inputs):
        name = printable(str(recording.path))
        raise typer.BadParameter(f"publishes JSON lines as they are, which {name} has none of", param_hint="--raw")


def _check_one_run(inputs: Sequence["Input"], *, one_attempt: bool) -> None:
    """Before anything is published: with --run-id two runs would become one, with --attempt two attempts."""
    from streakline.cli.inputs import size_of_inputs
    from streakline.cli.progress import progress

    total = size_of_inputs(inputs)
    if total is None:
        raise typer.BadParameter("these read the input twice: give files, not a pipe", param_hint="--run-id, --attempt")
    with progress("checking", total=total, unit="bytes") as advance:
        first: tuple[str, int] | None = None
        for line, run_id, attempt in _runs(inputs, advance):
            this = (run_id, attempt if one_attempt else 0)
            if first is not None and this != first:
                raise bad_input(_another(line, first, this))
            first = this


def _runs(inputs: Sequence["Input"], advance: "Advance") -> Iterator[tuple["Line", str, int]]:
    from producers.codec import MalformedEvent
    from streakline.cli.inputs import read_inputs
    from streakline.cli.lines import decode_line

    for line in read_inputs(inputs, on_read=advance):
        try:
            event = decode_line(line)
        except MalformedEvent:
            continue
        yield line, event.run_id, event.attempt


def _another(line: "Line", first: tuple[str, int], this: tuple[str, int]) -> str:
    what = (
        f"another run ({this[0]} after {first[0]}): --run-id and --attempt take files of one run"
        if this[0] != first[0]
        else f"another attempt ({this[1]} after {first[1]}): --attempt takes files of one attempt"
    )
    return f"{line.file}:{line.number}: {what}; nothing was published"


def _report(published: "Published", topic: str) -> None:
    from streakline.cli.output import say

    lost = published.records - published.acknowledged
    if lost:
        raise CommandError(
            f"the broker did not acknowledge {lost:,} of {published.records:,} records ({published.error}): "
            "check it, then replay the same files again; what has arrived is ignored the second time",
            ExitCode.UNAVAILABLE,
        )
    say(f"published {published.events:,} events to {topic}")
