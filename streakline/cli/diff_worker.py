"""`streakline diff-worker`: one diff worker."""

from typing import Annotated

import typer

from streakline.cli.errors import CommandError, ExitCode, not_installed
from streakline.cli.options import Bootstrap, Device, Lake, Precision, kafka_settings, settings_of, topic_settings


def diff_worker(
    *,
    model_roots: Annotated[
        str | None,
        typer.Option(
            envvar="STREAKLINE_MODEL_ROOTS",
            metavar="PLACES",
            help="folders and URIs, separated by commas, under which models may lie; by default the current folder",
        ),
    ] = None,
    lake: Lake = None,
    device: Device = None,
    dtype: Precision = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(envvar="STREAKLINE_METRICS_PORT", help="of /metrics, /healthz and /readyz; by default none"),
    ] = None,
    redis_url: Annotated[
        str | None,
        typer.Option(envvar="STREAKLINE_REDIS_URL", metavar="URL", help="by default redis://127.0.0.1:6379/0"),
    ] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Compare the checkpoint of every run that completes with its base: one diff worker, until SIGTERM or Ctrl-C.

    Several share the load through Redis; a worker that cannot reach it works alone. All other settings come from
    STREAKLINE_… variables: METRICS_HOST, TOKENS_PER_BATCH, PROBES, SAES, LOW_CONFIDENCE, FEATURE_MIN_TOKENS,
    FEATURE_MIN_RELATIVE, FEATURE_MIN_ABSOLUTE, DIFF_ATTEMPTS, DIFF_RETRY_SECONDS,
    MAX_CONSECUTIVE_FAILURES, LEASE_SECONDS, SESSION_TIMEOUT_SECONDS, STALL_SECONDS, LOG_LEVEL. It ends with status 70
    where it cannot go on.
    """
    from streakline.extras import missing_for_diffs
    from workers.settings import DiffSettings, DiffWorkerSettings

    kafka, topics = kafka_settings(bootstrap), topic_settings()
    settings = settings_of(DiffWorkerSettings, metrics_port=metrics_port, redis_url=redis_url)
    diff_settings = settings_of(DiffSettings, model_roots=model_roots, lake=lake, device=device, dtype=dtype)
    if (missing := missing_for_diffs()) is not None:
        raise not_installed("a diff worker", missing, "workers")
    from producers.redis.client import RedisAway
    from workers.serve import DiffService

    try:
        service = DiffService(kafka, topics, settings, diff_settings)
    except (OSError, ValueError, RedisAway) as error:
        raise CommandError(f"the diff worker cannot start: {error}", ExitCode.USAGE) from None
    service.run()
