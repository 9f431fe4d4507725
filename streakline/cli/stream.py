"""`streakline stream`: one stream worker."""

from streakline.cli.errors import CommandError, ExitCode, not_installed
from streakline.cli.options import Bootstrap, kafka_settings, topic_settings


def stream(bootstrap: Bootstrap = None) -> None:
    """Judge every step as it arrives: one stream worker, until SIGTERM or Ctrl-C.

    Several workers share the load; each needs a STREAKLINE_DATA_DIR of its own. All other settings come from
    STREAKLINE_… variables too: DATA_DIR, THRESHOLDS, METRICS_PORT, METRICS_HOST, PER_RUN_METRICS, PER_RUN_LIMIT,
    REDIS_URL, LIVE, SESSION_TIMEOUT_SECONDS, BROKER_TIMEOUT_SECONDS, STALL_SECONDS, STANDSTILL_SECONDS,
    FINISHED_RUN_SECONDS, ABANDONED_RUN_SECONDS, MAX_CONSECUTIVE_FAILURES, MAX_FAILURE_RATIO, FAILURE_WINDOW_RECORDS,
    LOG_LEVEL. It ends with status 70 where it cannot go on.
    """
    from producers.settings import load_settings
    from stream_app.settings import StreamSettings

    kafka, topics, settings = kafka_settings(bootstrap), topic_settings(), load_settings(StreamSettings)
    try:
        from producers.redis.client import RedisAway
        from stream_app.app import run_worker
    except ImportError as error:
        raise not_installed("a stream worker", error.name, "stream") from None
    try:
        run_worker(kafka, topics, settings)
    except (OSError, ValueError, RedisAway) as error:
        raise CommandError(f"the stream worker cannot start: {error}", ExitCode.USAGE) from None
