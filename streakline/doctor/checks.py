"""Every check there is, with the settings of the environment."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from producers.kafka import KafkaSettings
from producers.spool.settings import SpoolSettings
from producers.topics import TopicSettings
from streakline.cli.options import settings_of
from streakline.doctor.alerting import look_at_alerting
from streakline.doctor.disk import look_at_folder
from streakline.doctor.examining import Check
from streakline.doctor.findings import Finding, ok
from streakline.doctor.gpu import look_at_gpu
from streakline.doctor.kafka import look_at_kafka
from streakline.doctor.lake import look_at_lake
from streakline.doctor.packages import look_at_packages
from streakline.doctor.redis import look_at_redis
from streakline.doctor.spool import look_at_spool
from stream_app.engine.thresholds import load_policy
from stream_app.settings import StreamSettings
from workers.settings import DiffSettings


def all_checks(*, bootstrap: str | None = None, lake: str | None = None) -> list[Check]:
    """In the order in which people want to know; each reads its own settings, so that a wrong one hides no other."""
    looks: dict[str, Callable[[], Iterable[Finding]]] = {
        "packages": look_at_packages,
        "kafka": lambda: look_at_kafka(
            settings_of(KafkaSettings, kafka_bootstrap=bootstrap), settings_of(TopicSettings)
        ),
        "redis": lambda: look_at_redis(settings_of(StreamSettings)),
        "stream worker": _look_at_stream_worker,
        "spool": lambda: look_at_spool(settings_of(SpoolSettings)),
        "lake": lambda: look_at_lake(settings_of(DiffSettings, lake=lake).lake),
        "gpu": lambda: look_at_gpu(settings_of(DiffSettings).device),
        "alerting": look_at_alerting,
    }
    return [Check(subject, look) for subject, look in looks.items()]


def _look_at_stream_worker() -> Iterator[Finding]:
    """Its folder, and the thresholds it judges by. Raises ValueError and OSError for those that cannot be right."""
    settings = settings_of(StreamSettings)
    yield from look_at_folder("stream worker", settings.data_path, "STREAKLINE_DATA_DIR")
    path: Path | None = settings.thresholds_path
    load_policy(path)
    yield ok("stream worker", "it judges by the thresholds of " + ("this release" if path is None else str(path)))
