"""Which settings the command of a container reads, and an environment in which its secrets are there."""

from pathlib import Path

from msgspec import Struct

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from streakline.dashboard.settings import DashboardSettings
from stream_app.settings import StreamSettings
from tests.kubernetes import Workload
from workers.settings import ArchiveSettings, DiffSettings, DiffWorkerSettings

MOUNTED = "/run/secrets/streakline"

SECRETS = {
    "kafka-password": "a-long-password",
    "kafka-ca.pem": "no certificate",
    "redis-url": "rediss://streakline:another@redis.example:6380/0",
    "dashboard-token": "0123456789abcdef",
}

_SETTINGS: dict[tuple[str, ...], tuple[type[Struct], ...]] = {
    ("topics", "ensure"): (KafkaSettings, TopicSettings),
    ("stream",): (KafkaSettings, TopicSettings, StreamSettings),
    ("archive",): (KafkaSettings, TopicSettings, ArchiveSettings),
    ("diff-worker",): (KafkaSettings, TopicSettings, DiffWorkerSettings, DiffSettings),
    ("dashboard",): (TopicSettings, DashboardSettings),
}


def settings_of(workload: Workload) -> tuple[type[Struct], ...]:
    """All that its command reads."""
    return _SETTINGS[tuple(workload.container.args)]


def with_secrets(environ: dict[str, str], folder: Path) -> dict[str, str]:
    """`environ`, with the secrets in `folder`."""
    for name, text in SECRETS.items():
        (folder / name).write_text(f"{text}\n")
    return {name: value.replace(MOUNTED, str(folder)) for name, value in environ.items()}
