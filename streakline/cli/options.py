"""Options and arguments that several commands share.

An option's environment twin is ``STREAKLINE_<COMMAND>_<OPTION>`` (typer's own rule, see `main.app`), except
where a setting of the same meaning has a name already.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import typer

from workers.settings import DType

if TYPE_CHECKING:
    from producers.kafka import KafkaSettings
    from producers.topics import TopicSettings

S = TypeVar("S", bound=msgspec.Struct)

_BOOTSTRAP = "STREAKLINE_KAFKA_BOOTSTRAP"

BROKER_TIMEOUT_SECONDS = 5.0
"""how long a command waits for a broker that does not answer"""

EVENT_FILES = typer.Argument(
    metavar="FILE...",
    help="events as JSON lines (- is stdin), trainer_state.json, TensorBoard event files or their folder, CSV",
    show_default=False,
)
EventFiles = Annotated[list[Path], EVENT_FILES]

Bootstrap = Annotated[
    str | None,
    typer.Option(
        envvar=_BOOTSTRAP, metavar="HOST:PORT", help="the Kafka broker; by default the local one at 127.0.0.1:9092"
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="JSON lines, for a script to read")]


Lake = Annotated[
    str | None,
    typer.Option(
        envvar="STREAKLINE_LAKE",
        metavar="PLACE",
        help="folder or URI (s3://…) of the Parquet tables; by default .streakline/lake",
    ),
]

Device = Annotated[
    str | None,
    typer.Option(envvar="STREAKLINE_DEVICE", help="cpu, cuda, cuda:1 …; by default the GPU where there is one"),
]

Precision = Annotated[
    DType | None,
    typer.Option("--dtype", envvar="STREAKLINE_DTYPE", help="of the weights and activations; by default float32"),
]


def settings_of(kind: type[S], **options: str | int | None) -> S:
    """The environment's settings, with those `options` in their place that are given. Raises `SettingsError`."""
    from producers.settings import PREFIX, load_settings

    given = {PREFIX + name.upper(): str(value) for name, value in options.items() if value is not None}
    return load_settings(kind, {**os.environ, **given})


def kafka_settings(bootstrap: str | None) -> "KafkaSettings":
    """The environment's settings, with `bootstrap` where it is given. Raises `SettingsError`."""
    from producers.kafka import KafkaSettings

    return settings_of(KafkaSettings, kafka_bootstrap=bootstrap)


def topic_settings() -> "TopicSettings":
    """The environment's settings. Raises `SettingsError`."""
    from producers.topics import TopicSettings

    return settings_of(TopicSettings)
