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
    *,
    bootstrap: Bootstrap = None,
    port: Annotated[int, typer.Option(help="of the local broker", min=1, max=65_535)] = 9092,
    workers: Annotated[int, typer.Option(help="stream workers that share the load", min=1, max=64)] = 1,
    metrics_port: Annotated[
        int, typer.Option(help="of the first worker's metrics; the others follow", min=1, max=65_472)
    ] = 9464,
    no_alerts: Annotated[bool, typer.Option("--no-alerts", help="start no Prometheus and no Alertmanager")] = False,
    state_dir: StateDir = Path(".streakline"),
) -> None:
    """Run everything on this machine: a broker in memory, stream workers, Prometheus and Alertmanager, until Ctrl-C.

    Who would be paged is shown here. With a --bootstrap (or STREAKLINE_KAFKA_BOOTSTRAP) it uses that broker.
    The local broker is for developing: what it holds is gone when it stops.
    """
    from streakline.alerting import AlertingSettings
    from streakline.cli.output import note
    from streakline.pages import Notification, lines
    from streakline.stack import Stack, StackSettings

    def show(notification: Notification) -> None:
        for line in lines(notification):
            note(line)

    # As Ctrl-C, so that everything is stopped and not left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = StackSettings(
        state_dir=state_dir,
        broker_port=port if bootstrap is None else None,
        workers=workers,
        metrics_port=metrics_port,
        alerting=None if no_alerts else AlertingSettings(),
    )
    note("starting the broker and the stream workers" if bootstrap is None else "starting the stream workers")
    with Stack(settings, kafka_settings(bootstrap), topic_settings(), say=note, on_notification=show) as stack:
        note(f"broker         {stack.kafka.kafka_bootstrap}" + (" (in memory)" if bootstrap is None else ""))
        for worker in stack.workers:
            note(f"{worker.name:<14} {worker.metrics_url}")
        if stack.alerting is not None:
            note(f"prometheus     {stack.alerting.prometheus_url}")
            note(f"alertmanager   {stack.alerting.alertmanager_url} (what it sends is shown here)")
        note(f"logs           {os.path.relpath(stack.logs)}")
        if stack.kafka.kafka_bootstrap != kafka_settings(None).kafka_bootstrap:
            note(f"other commands: export STREAKLINE_KAFKA_BOOTSTRAP={stack.kafka.kafka_bootstrap}")
        note("Ctrl-C stops everything")
        while True:
            stack.watch(3600.0)
