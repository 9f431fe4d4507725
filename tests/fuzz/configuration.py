"""What an operator sets: thresholds in a file, and the environment."""

import os

from producers.kafka import KafkaSettings
from producers.redis.settings import RedisSettings
from producers.settings import FILE, SettingsError, load_settings, to_environ
from producers.spool.settings import SpoolSettings
from producers.topics import TopicSettings, topic_names
from streakline.dashboard.settings import DashboardSettings, place_of
from stream_app.engine.thresholds import parse_policy
from stream_app.settings import StreamSettings
from tests.fuzz.target import Target
from workers.settings import ArchiveSettings, DiffSettings, DiffWorkerSettings

_KINDS = (
    KafkaSettings,
    TopicSettings,
    SpoolSettings,
    RedisSettings,
    StreamSettings,
    DiffSettings,
    DiffWorkerSettings,
    ArchiveSettings,
    DashboardSettings,
)


def _set(raw: bytes) -> None:
    """A line each, as ``NAME=value``."""
    pairs = (line.partition(b"=") for line in raw.split(b"\n"))
    named = ((os.fsdecode(name), os.fsdecode(value)) for name, _, value in pairs)
    # No file that anybody could name is read here.
    environ = {name: value for name, value in named if not name.endswith(FILE)}
    for kind in _KINDS:
        try:
            settings = load_settings(kind, environ)
        except SettingsError:
            continue
        assert load_settings(kind, to_environ(settings)) == settings
        if isinstance(settings, TopicSettings):
            topic_names(settings)
        if isinstance(settings, DashboardSettings):
            try:
                place_of(settings)
            except SettingsError:
                continue


TARGETS = (
    Target(name="thresholds", decode=parse_policy, allowed=(ValueError,)),
    Target(name="environment", decode=_set),
)
