"""`streakline archive`: one archiver."""

from typing import Annotated

import typer

from streakline.cli.errors import CommandError, ExitCode, not_installed
from streakline.cli.options import Bootstrap, Lake, kafka_settings, settings_of, topic_settings


def archive(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="archive what there is now, and end; it may run beside others")
    ] = False,
    lake: Lake = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(envvar="STREAKLINE_METRICS_PORT", help="of /metrics, /healthz and /readyz; by default none"),
    ] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Write all steps, signals and the life of runs to the lake, each once: one archiver, until SIGTERM or Ctrl-C.

    Several share the partitions. It may be killed anywhere. With --once it fails where the lake or the broker does.
    All other settings come from STREAKLINE_… variables:
    METRICS_HOST, ARCHIVE_SECONDS and ARCHIVE_BYTES (after which a file is written), ARCHIVE_RETRY_SECONDS,
    SESSION_TIMEOUT_SECONDS, STALL_SECONDS, LOG_LEVEL.
    """
    from streakline.extras import missing_for_archive
    from workers.settings import ArchiveSettings

    kafka, topics = kafka_settings(bootstrap), topic_settings()
    settings = settings_of(ArchiveSettings, lake=lake, metrics_port=metrics_port)
    if (missing := missing_for_archive()) is not None:
        raise not_installed("an archiver", missing, "workers")
    from workers.archive.serve import ArchiveService

    try:
        service = ArchiveService(kafka, topics, settings)
    except (OSError, ValueError) as error:
        raise CommandError(f"the archiver cannot start: {error}", ExitCode.USAGE) from None
    service.run(once=once)
