"""Options and arguments that several commands share.

An option's environment twin is ``STREAKLINE_<COMMAND>_<OPTION>`` (typer's own rule, see `main.app`), except
where a setting of the same meaning has a name already.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from producers.kafka import KafkaSettings
    from producers.topics import TopicSettings

_BOOTSTRAP = "STREAKLINE_KAFKA_BOOTSTRAP"

BROKER_TIMEOUT_SECONDS = 5.0
"""how long a command waits for a broker that does not answer"""

EventFiles = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="events as JSON lines (- is stdin), trainer_state.json, TensorBoard event files or their folder, CSV",
        show_default=False,
    ),
]

Bootstrap = Annotated[
    str | None,
    typer.Option(
        envvar=_BOOTSTRAP, metavar="HOST:PORT", help="the Kafka broker; by default the local one at 127.0.0.1:9092"
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="JSON lines, for a script to read")]


def kafka_settings(bootstrap: str | None) -> "KafkaSettings":
    """The environment's settings, with `bootstrap` where it is given. Raises `SettingsError`."""
    from producers.kafka import KafkaSettings
    from producers.settings import load_settings

    return load_settings(KafkaSettings, os.environ if bootstrap is None else {**os.environ, _BOOTSTRAP: bootstrap})


def topic_settings() -> "TopicSettings":
    """The environment's settings. Raises `SettingsError`."""
    from producers.settings import load_settings
    from producers.topics import TopicSettings

    return load_settings(TopicSettings)
