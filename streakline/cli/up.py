"""`streakline up`: the local stack."""

import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streakline.cli.options import Bootstrap, kafka_settings, settings_of, topic_settings

if TYPE_CHECKING:
    from streakline.stack import Stack

StateDir = Annotated[
    Path, typer.Option(envvar="STREAKLINE_STATE_DIR", help="where logs and the workers' tables are kept")
]


def up(
    *,
    bootstrap: Bootstrap = None,
    port: Annotated[int, typer.Option(help="of the local broker", min=1, max=65_535)] = 9092,
    workers: Annotated[int, typer.Option(help="stream workers that share the load", min=1, max=64)] = 1,
    diff_workers: Annotated[
        int, typer.Option(help="that compare checkpoints with their bases, one model at a time each", min=0, max=8)
    ] = 1,
    archive: Annotated[bool, typer.Option(help="keep all steps, signals and the life of runs in the lake")] = True,
    dashboard: Annotated[
        bool, typer.Option(help="serve the dashboard, on STREAKLINE_DASHBOARD_PORT, 8800 unless that is set")
    ] = True,
    metrics_port: Annotated[
        int, typer.Option(help="of the first stream worker's metrics; the other workers follow", min=1, max=65_463)
    ] = 9464,
    no_alerts: Annotated[bool, typer.Option("--no-alerts", help="start no Prometheus and no Alertmanager")] = False,
    state_dir: StateDir = Path(".streakline"),
) -> None:
    """Run everything on this machine until Ctrl-C: broker, Redis, workers, archiver, alerts and dashboard.

    Who would be paged is shown here. With a --bootstrap (or STREAKLINE_KAFKA_BOOTSTRAP) it uses that broker, with a
    STREAKLINE_REDIS_URL that Redis. The local broker is for developing: what it holds is gone when it stops.
    Diffs and the archive stay, in STREAKLINE_LAKE or under the state folder; what comes is in the archive
    STREAKLINE_ARCHIVE_SECONDS later, 10 unless that is set. Diff workers read models below the current folder, or
    STREAKLINE_MODEL_ROOTS.
    """
    from producers.redis.settings import NamedRedis
    from streakline.alerting import AlertingSettings
    from streakline.archiving import ArchivingSettings
    from streakline.cli.output import note
    from streakline.diffing import DiffingSettings
    from streakline.pages import Notification, lines
    from streakline.stack import Stack, StackSettings
    from streakline.stack_dashboard import StackDashboardSettings
    from streakline.stack_redis import StackRedisSettings

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
        redis=StackRedisSettings(url=settings_of(NamedRedis).redis_url),
        alerting=None if no_alerts else AlertingSettings(),
        diffing=DiffingSettings(workers=diff_workers, metrics_port=metrics_port + workers),
        archiving=ArchivingSettings(metrics_port=metrics_port + workers + diff_workers) if archive else None,
        dashboard=StackDashboardSettings() if dashboard else None,
    )
    note("starting the broker and the workers" if bootstrap is None else "starting the workers")
    with Stack(settings, kafka_settings(bootstrap), topic_settings(), say=note, on_notification=show) as stack:
        for line in _places(stack, " (in memory)" if bootstrap is None else ""):
            note(line)
        if stack.dashboard is not None:
            note(f"dashboard      {stack.dashboard.url}")
        note("Ctrl-C stops everything")
        while True:
            stack.watch(3600.0)


def _places(stack: "Stack", kind: str) -> Iterator[str]:
    """Where everything is."""
    from workers.uris import shown

    alerting = stack.alerting
    yield f"broker         {stack.kafka.kafka_bootstrap}{kind}"
    if stack.redis is not None:
        yield f"redis          {stack.redis.address} (in memory)"
    for worker in (*stack.workers, *stack.diff_workers, *stack.archivers):
        yield f"{worker.name:<14} {worker.metrics_url}"
    if (lake := stack.lake) is not None:
        yield f"lake           {shown(lake) if '://' in lake else os.path.relpath(lake)}"
    if alerting is not None:
        yield f"prometheus     {alerting.prometheus_url}"
        yield f"alertmanager   {alerting.alertmanager_url} (what it sends is shown here)"
    yield f"logs           {os.path.relpath(stack.logs)}"
    exports = [f"{name}={shlex.quote(value)}" for name, value in _exports(stack)]
    if exports:
        yield f"other commands: export {' '.join(exports)}"


def _exports(stack: "Stack") -> Iterator[tuple[str, str]]:
    """What other commands, started here, would look for elsewhere."""
    from producers.redis.settings import RedisSettings
    from streakline.cli.by_hand import absolute
    from workers.settings import DiffSettings

    if stack.kafka.kafka_bootstrap != kafka_settings(None).kafka_bootstrap:
        yield "STREAKLINE_KAFKA_BOOTSTRAP", stack.kafka.kafka_bootstrap
    if stack.redis is not None and stack.redis.url != RedisSettings().redis_url:
        yield "STREAKLINE_REDIS_URL", stack.redis.url
    lake = stack.lake
    if lake is not None and lake != absolute(settings_of(DiffSettings).lake):
        yield "STREAKLINE_LAKE", lake
