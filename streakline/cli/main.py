"""The `streakline` command: what it is made of, and how it ends."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from streakline.cli import (
    archive,
    compact,
    dashboard,
    dead_letters,
    demo,
    detect,
    diff,
    diff_worker,
    doctor,
    forget,
    query,
    replay,
    report,
    runs,
    schema,
    shell,
    signals,
    spool,
    stream,
    topics,
    up,
)
from streakline.cli.errors import CommandError, ExitCode, known_error

app = typer.Typer(
    help="Watches training runs while they train and explains what they changed when they end.",
    epilog="Exit codes: 0 done; 1 something in the input was wrong or missing; 2 an argument, an "
    "option or a setting cannot be right; 3 the broker is away or its topics are not as they have to be; 70 a worker "
    "could not go on; 130 Ctrl-C.",
    context_settings={"auto_envvar_prefix": "STREAKLINE", "help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command("detect")(detect.detect)
app.command("replay")(replay.replay)
app.command("signals")(signals.signals)
app.command("runs")(runs.runs)
app.command("doctor")(doctor.doctor)
app.command("schema")(schema.schema)
app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("stream")(stream.stream)
app.command("diff")(diff.diff)
app.command("diff-worker")(diff_worker.diff_worker)
app.command("archive")(archive.archive)
app.command("dashboard")(dashboard.dashboard)
app.command("compact")(compact.compact)
app.command("forget")(forget.forget)
app.command("query")(query.query)
app.command("shell")(shell.shell)
app.command("report")(report.report)
app.add_typer(spool.app, name="spool")
app.add_typer(topics.app, name="topics")
app.add_typer(dead_letters.app, name="dead-letters")


def main() -> NoReturn:
    """Run the process's command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return the exit code; a failure is told of on stderr."""
    try:
        ended = app(list(arguments), prog_name="streakline", standalone_mode=False)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except typer.TyperException as error:
        return _fail(_usage_error(error))
    except Exception as error:
        known = known_error(error)
        if known is None:
            raise
        return _fail(known)
    return ended if isinstance(ended, int) else ExitCode.DONE


def _fail(error: CommandError) -> int:
    from streakline.cli.output import drop_output, note
    from streakline.cli.text import printable

    if str(error):
        note(f"streakline: {printable(str(error))}")
    drop_output()
    return error.exit_code


def _usage_error(error: typer.TyperException) -> CommandError:
    sentence = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    if sentence and context is not None:
        sentence = f"{sentence.removesuffix('.')}: see `{context.command_path} --help`"
    return CommandError(sentence, ExitCode.USAGE)
