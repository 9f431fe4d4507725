"""`streakline signals`: what the stream application had to say."""

import re
from collections.abc import Iterable
from typing import Annotated, get_args

import typer
from msgspec import Struct

from producers.events import OWN_TYPE, SIGNAL_TYPES, Severity, Signal
from streakline.cli.options import AsJson, Bootstrap, kafka_settings, topic_settings

_COLUMNS = ("time", "run", "step", "type", "severity", "message")


_TYPES = f"{', '.join(SIGNAL_TYPES)}, or of an installed detector's type, as in team.check"
_SEVERITIES = ", ".join(get_args(Severity))


def _type(name: str) -> str:
    if name not in SIGNAL_TYPES and re.fullmatch(OWN_TYPE, name) is None:
        raise typer.BadParameter(f"{name!r} is not one of {_TYPES}")
    return name


class Wanted(Struct, frozen=True, kw_only=True):
    """Which signals to show; what is None does not matter."""

    run: str | None = None
    project: str | None = None
    type: str | None = None
    severity: Severity | None = None

    def includes(self, signal: Signal) -> bool:
        """Whether `signal` is one of them."""
        return (
            self.run in (None, signal.run_id)
            and self.project in (None, signal.project)
            and self.type in (None, signal.type)
            and self.severity in (None, signal.severity)
        )


def signals(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="a run id; all runs without")] = None,
    *,
    type_: Annotated[
        str | None,
        typer.Option(
            "--type", envvar="STREAKLINE_SIGNALS_TYPE", metavar="TYPE", parser=_type, help=f"only this one of {_TYPES}"
        ),
    ] = None,
    severity: Annotated[
        Severity | None, typer.Option(metavar="SEVERITY", help=f"only this one of {_SEVERITIES}")
    ] = None,
    project: Annotated[str | None, typer.Option(help="only this project's")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="keep on, and print signals as they come")] = False,
    json: AsJson = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Show the signals of one run or of all, each once."""
    from producers.topics import topic_names
    from streakline.cli.reading import Unreadable, read_signals

    wanted = Wanted(run=run, project=project, type=type_, severity=severity)
    kafka, topic = kafka_settings(bootstrap), topic_names(topic_settings()).signals
    unreadable = Unreadable()
    is_streamed = json or follow
    found = filter(wanted.includes, read_signals(kafka, topic, unreadable, follow=follow, beside_output=is_streamed))
    count = _print_lines(found, json=json) if is_streamed else _print_table(found)
    unreadable.tell(topic)
    if not count:
        _tell_of_none(wanted)


def _print_lines(found: Iterable[Signal], *, json: bool) -> int:
    from producers.codec import encode
    from streakline.cli.output import standard_output
    from streakline.cli.text import printable

    count = 0
    with standard_output() as output:
        for count, signal in enumerate(found, 1):  # noqa: B007  # wanted after the loop
            if json:
                output.json_line(encode(signal))
            else:
                output.line(printable("  ".join(_cells(signal))).encode())
            output.flush()
    return count


def _print_table(found: Iterable[Signal]) -> int:
    from streakline.cli.table import print_table

    rows = [_cells(signal) for signal in sorted(found, key=lambda signal: (signal.ts, signal.run_id, signal.step))]
    if rows:
        print_table(_COLUMNS, rows, numbers=("step",))
    return len(rows)


def _cells(signal: Signal) -> tuple[str, ...]:
    from streakline.cli.text import moment

    return (moment(signal.ts), signal.run_id, str(signal.step), signal.type, signal.severity, signal.message)


def _tell_of_none(wanted: Wanted) -> None:
    from streakline.cli.output import note
    from streakline.cli.text import printable

    whose = "" if wanted.run is None else f" of run {printable(wanted.run)}"
    like_that = " like that" if wanted != Wanted(run=wanted.run) else ""
    note(f"there are no signals{whose}{like_that}")
