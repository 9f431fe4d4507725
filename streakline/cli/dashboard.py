"""`streakline dashboard`: the pages for people."""

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from streakline.cli.errors import CommandError, ExitCode, not_installed
from streakline.cli.options import Lake, settings_of, topic_settings


def dashboard(
    *,
    host: Annotated[str | None, typer.Option(help="to listen on; by default 127.0.0.1, this machine alone")] = None,
    port: Annotated[int | None, typer.Option(help="by default 8800; 0 is any free one", min=0, max=65_535)] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="file with the token that whoever looks has to know, or STREAKLINE_DASHBOARD_TOKEN"),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file of the certificate and its chain")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its key")] = None,
    lake: Lake = None,
    redis_url: Annotated[
        str | None,
        typer.Option(envvar="STREAKLINE_REDIS_URL", metavar="URL", help="by default redis://127.0.0.1:6379/0"),
    ] = None,
) -> None:
    """Serve the dashboard until SIGTERM or Ctrl-C: all runs, one run live, its report, its project, diffs in progress.

    It reads Redis and the lake, and writes nothing. Others than this machine are let in only with a token.
    """
    from streakline.cli.output import note
    from streakline.extras import missing_for_dashboard

    if (missing := missing_for_dashboard()) is not None:
        raise not_installed("the dashboard", missing, "dashboard")
    from producers.logs import log_to_stderr
    from producers.redis.client import RedisAway
    from producers.stalls import StallWatch
    from streakline.dashboard.server import Sources, serve
    from streakline.dashboard.settings import DashboardSettings, place_of

    settings = settings_of(
        DashboardSettings,
        dashboard_host=host,
        dashboard_port=port,
        # An option goes before a variable: this one before that of the token, too.
        dashboard_token=None if token_file is None else "",
        dashboard_token_file=_text(token_file),
        dashboard_tls_cert=_text(tls_cert),
        dashboard_tls_key=_text(tls_key),
        lake=lake,
        redis_url=redis_url,
    )
    place = place_of(settings)
    if place.warning is not None:
        note(f"streakline: {place.warning}")

    async def run() -> None:
        with StallWatch("the event loop", settings.stall_seconds) as stalls:
            stalls.beat_with(asyncio.get_running_loop())
            sources = Sources(settings.redis_url, topic_settings().topic_prefix, settings.lake)
            await serve(place, sources, lambda port: note(f"dashboard      {place.url(port)}"))

    log_to_stderr(logging.WARNING)
    try:
        asyncio.run(run())
    except OSError as error:
        raise CommandError(
            f"the dashboard cannot listen on {place.host}:{place.port} ({error.strerror}): choose another --port or "
            "--host",
            ExitCode.USAGE,
        ) from None
    except (RedisAway, ValueError) as error:
        raise CommandError(f"the dashboard cannot start: {error}", ExitCode.USAGE) from None


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
