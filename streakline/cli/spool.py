"""`streakline spool`: what publishers of this machine have not been able to send."""

import contextlib
import os
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from streakline.cli.errors import CommandError, ExitCode
from streakline.cli.options import BROKER_TIMEOUT_SECONDS, AsJson, Bootstrap, kafka_settings

if TYPE_CHECKING:
    from producers.leftovers import Delivered, Leftover
    from producers.spool.settings import SpoolSettings

app = typer.Typer(help="What publishers of this machine have not been able to send.", no_args_is_help=True)

SpoolDir = Annotated[
    str | None,
    typer.Option(envvar="STREAKLINE_SPOOL_DIR", metavar="DIR", help="by default ~/.local/state/streakline/spool"),
]

_COLUMNS = ("run", "bytes", "for the broker at", "owner", "folder")


@app.command("list")
def list_(*, spool_dir: SpoolDir = None, json: AsJson = False) -> None:
    """Show every publisher's folder, and whether its owner is alive."""
    import msgspec

    from producers.spool.folder import has_owner, size_bytes
    from streakline.cli.output import note, standard_output
    from streakline.cli.table import print_table

    settings = _settings(spool_dir)
    rows = []
    for left in _leftovers(settings):
        # It may be delivered and removed at this moment.
        with contextlib.suppress(FileNotFoundError):
            alive = has_owner(left.path)
            rows.append((left.owner.run_id, size_bytes(left.path), left.owner.bootstrap, alive, str(left.path)))
    if json:
        names = ("run_id", "bytes", "bootstrap", "owner_is_alive", "folder")
        with standard_output() as output:
            for row in rows:
                output.json_line(msgspec.json.encode(dict(zip(names, row, strict=True))))
    elif rows:
        cells = [(run, f"{size:,}", to, "alive" if alive else "dead", path) for run, size, to, alive, path in rows]
        print_table(_COLUMNS, cells, numbers=("bytes",))
    else:
        note(f"nothing waits in {settings.root}")


@app.command()
def flush(*, spool_dir: SpoolDir = None, bootstrap: Bootstrap = None) -> None:
    """Send what publishers left that are not alive any more.

    Only what was meant for this broker. The exit code is 3 where the broker did not take everything.
    """
    from producers.leftovers import flush as send
    from streakline.cli.output import say
    from streakline.cli.progress import progress

    settings, kafka = _settings(spool_dir), kafka_settings(bootstrap)
    there = _leftovers(settings)
    here = [left.path for left in there if left.owner.bootstrap == kafka.kafka_bootstrap]
    delivered: list[Delivered] = []
    reasons: list[str] = []
    with progress("sending", total=None, unit="records") as advance:
        try:
            is_done = send(
                here,
                kafka,
                on_delivered=delivered.append,
                on_answers=advance,
                complain=reasons.append,
                timeout_seconds=BROKER_TIMEOUT_SECONDS,
            )
        except ValueError as error:
            raise CommandError(str(error), ExitCode.USAGE) from None
    for each in delivered:
        refused = f", {each.refused:,} were refused by the broker" if each.refused else ""
        say(f"sent {each.records:,} records of run {each.owner.run_id}{refused}")
    if not delivered and is_done:
        say(f"nothing waits in {settings.root} for the broker at {kafka.kafka_bootstrap}")
    _tell_of_others(there, kafka.kafka_bootstrap)
    if not is_done:
        reason = reasons[-1] if reasons else "no answer"
        raise CommandError(
            f"the broker at {kafka.kafka_bootstrap} does not take the rest ({reason}): it stays where it is; "
            "check the broker, then flush again",
            ExitCode.UNAVAILABLE,
        )


def _settings(spool_dir: str | None) -> "SpoolSettings":
    from producers.settings import load_settings
    from producers.spool.settings import SpoolSettings

    return load_settings(SpoolSettings, os.environ | ({} if spool_dir is None else {"STREAKLINE_SPOOL_DIR": spool_dir}))


def _leftovers(settings: "SpoolSettings") -> list["Leftover"]:
    from producers.leftovers import leftovers
    from streakline.cli.output import note
    from streakline.cli.text import printable

    return leftovers(settings.root, on_problem=lambda problem: note(f"streakline: passed over: {printable(problem)}"))


def _tell_of_others(there: list["Leftover"], bootstrap: str) -> None:
    from streakline.cli.output import note
    from streakline.cli.text import printable

    others = Counter(left.owner.bootstrap for left in there if left.owner.bootstrap != bootstrap)
    for broker, count in sorted(others.items()):
        note(f"{count} left for the broker at {printable(broker)}: flush them with --bootstrap {printable(broker)}")
