"""`streakline up`: the local stack."""

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from streakline.cli.options import Bootstrap, kafka_settings, topic_settings

StateDir = Annotated[
    Path, typer.Option(envvar="STREAKLINE_STATE_DIR", help="where logs and the workers' tables are kept")
]


def up(
    bootstrap: Bootstrap = None,
    port: Annotated[int, typer.Option(help="of the local broker", min=1, max=65_535)] = 9092,
    workers: Annotated[int, typer.Option(help="stream workers that share the load", min=1, max=64)] = 1,
    metrics_port: Annotated[
        int, typer.Option(help="of the first worker's metrics; the others follow", min=1, max=65_472)
    ] = 9464,
    state_dir: StateDir = Path(".streakline"),
) -> None:
    """Run everything on this machine: a broker in memory and stream workers, until Ctrl-C.

    With a --bootstrap (or STREAKLINE_KAFKA_BOOTSTRAP) it uses that broker and starts the workers only.
    The local broker is for developing: what it holds is gone when it stops.
    """
    from streakline.cli.output import note
    from streakline.stack import Stack, StackSettings

    # As Ctrl-C, so that everything is stopped and not left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = StackSettings(
        state_dir=state_dir, broker_port=port if bootstrap is None else None, workers=workers, metrics_port=metrics_port
    )
    note("starting the broker and the stream workers" if bootstrap is None else "starting the stream workers")
    with Stack(settings, kafka_settings(bootstrap), topic_settings(), say=note) as stack:
        note(f"broker         {stack.kafka.kafka_bootstrap}" + (" (in memory)" if bootstrap is None else ""))
        for worker in stack.workers:
            note(f"{worker.name:<14} {worker.metrics_url}")
        note(f"logs           {os.path.relpath(stack.logs)}")
        if stack.kafka.kafka_bootstrap != kafka_settings(None).kafka_bootstrap:
            note(f"other commands: export STREAKLINE_KAFKA_BOOTSTRAP={stack.kafka.kafka_bootstrap}")
        note("Ctrl-C stops everything")
        while True:
            stack.watch(3600.0)
