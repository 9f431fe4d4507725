"""`streakline forget`: a run's rows taken out of the lake."""

from typing import Annotated

import typer

from streakline.cli.errors import CommandError, ExitCode, bad_input, not_installed
from streakline.cli.options import Lake, settings_of


def forget(run: Annotated[str, typer.Argument(metavar="RUN")], *, lake: Lake = None) -> None:
    """Delete all rows of a run from the lake, for good.

    Stop diff workers and archivers first: they may write again what they are working on. What Kafka still has of the
    run goes when the retention of its topics is over.
    """
    from streakline.cli.output import say
    from streakline.cli.text import printable
    from streakline.extras import missing_for_archive
    from workers.settings import DiffSettings
    from workers.uris import said, shown

    root = settings_of(DiffSettings, lake=lake).lake
    if (missing := missing_for_archive()) is not None:
        raise not_installed("forgetting a run", missing, "workers")
    from workers.forget import forget as forget_run

    try:
        changed = forget_run(root, run)
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except OSError as error:
        raise bad_input(f"the lake {shown(root)} cannot be changed ({said(error, root)}): run it again") from None
    files = "1 file" if len(changed) == 1 else f"{len(changed):,} files"
    say(printable(f"{run} is gone from {files}" if changed else f"nothing of {run} is in the lake"))
