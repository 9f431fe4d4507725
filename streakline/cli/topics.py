"""`streakline topics`: the topics on the broker."""

import typer

from streakline.cli.options import BROKER_TIMEOUT_SECONDS, Bootstrap, kafka_settings, topic_settings

app = typer.Typer(help="The topics on the broker.", no_args_is_help=True)


@app.callback()
def _topics() -> None:
    """The topics on the broker."""


@app.command()
def ensure(*, bootstrap: Bootstrap = None) -> None:
    """Make the topics that are missing; those that are there are left as they are."""
    from producers.topics import ensure_topics, topic_specs
    from streakline.cli.output import say

    kafka, settings = kafka_settings(bootstrap), topic_settings()
    made = ensure_topics(kafka, settings, timeout_seconds=BROKER_TIMEOUT_SECONDS)
    partitions = "1 partition" if settings.partitions == 1 else f"{settings.partitions} partitions"
    for spec in topic_specs(settings):
        say(f"made {spec.topic} with {partitions}" if spec.topic in made else f"{spec.topic} is there")
