"""`streakline topics`: the topics on the broker."""

from typing import Annotated

import typer

from streakline.cli.errors import CommandError, ExitCode
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


@app.command("take-over")
def take_over(
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="of the topics to take over from: streakline.")],
    *,
    bootstrap: Bootstrap = None,
) -> None:
    """Take over from other topics, of another number of partitions, what the next run of each project is compared with.

    To be run once no diff is made under the old prefix any more, and none yet under the new one; stream workers of the
    new one that run already are to be started anew.
    """
    from streakline.cli.output import say
    from streakline.takeover import take_over_projects
    from stream_app.versions import UnreadableRecord

    settings = topic_settings()
    try:
        taken = take_over_projects(kafka_settings(bootstrap), settings, prefix)
    except UnreadableRecord as error:
        raise CommandError(str(error), ExitCode.UNAVAILABLE) from None
    say(f"took over {'1 project' if taken == 1 else f'{taken:,} projects'} from {prefix} for {settings.topic_prefix}")
