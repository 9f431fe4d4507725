"""`streakline dead-letters requeue`: what was refused, published again where it came from."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from streakline.cli.dead_letters_reading import DeadLetter, given_id
from streakline.cli.errors import CommandError, ExitCode, bad_input
from streakline.cli.options import BROKER_TIMEOUT_SECONDS, Bootstrap, kafka_settings, topic_settings

if TYPE_CHECKING:
    from confluent_kafka import Message

    from producers.kafka import KafkaSettings
    from producers.topics import Topics
    from streakline.cli.dead_letters_survey import Survey

_ACKNOWLEDGED_WITHIN_SECONDS = 30.0
_TOLD = 10
"""letters that cannot be requeued and are told of one by one"""


def requeue(
    letters: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="PARTITION:OFFSET, as `list` shows it", show_default=False),
    ] = None,
    *,
    reason: Annotated[str | None, typer.Option(metavar="R", help="all that were refused for this reason")] = None,
    all_: Annotated[
        bool, typer.Option("--all", envvar="STREAKLINE_DEAD_LETTERS_REQUEUE_ALL", help="all there are")
    ] = False,
    source_topic: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="with --reason or --all: only those of this topic")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be published where")] = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Publish dead letters again on the topics that they came from: same bytes, same key, in their order.

    Do it once the cause is mended, and before their runs go on: a step that is older than one its run has had
    meanwhile is ignored as late, and stays unjudged. A letter that is requeued twice does no harm for the same reason.

    --reason and --all leave out what was requeued before and came back; an id takes it all the same. The exit code is
    1 where a letter cannot be requeued, and 3 where the broker did not acknowledge everything.
    """
    from producers.topics import topic_names
    from streakline.cli.dead_letters_choice import Choice
    from streakline.cli.dead_letters_survey import Survey

    kafka, names = kafka_settings(bootstrap), topic_names(topic_settings())
    ids = frozenset(map(given_id, letters or ()))
    if bool(ids) + (reason is not None) + all_ != 1:
        raise typer.BadParameter("give ids of letters, or a reason, or --all", param_hint="ID, --reason, --all")
    if source_topic is not None and (ids or source_topic not in _sources(names)):
        raise typer.BadParameter(
            f"goes with --reason or --all, and is one of {', '.join(_sources(names))}", param_hint="--source-topic"
        )
    choice = Choice(ids=ids, reason=reason, source_topic=source_topic)
    requeuing = _Requeuing(kafka, _sources(names), Survey(kafka, names.dead_letters, choice))
    if dry_run:
        requeuing.rehearse()
    else:
        requeuing.publish()
    requeuing.report()


def _sources(names: "Topics") -> Sequence[str]:
    """The topics whose records become letters."""
    return names.steps, names.diffs, names.runs


class _Requeuing:
    """What becomes of the letters that were asked for."""

    def __init__(self, kafka: "KafkaSettings", topics: Sequence[str], survey: "Survey") -> None:
        self._kafka = kafka
        self._topics = topics
        self._survey = survey
        self._taken = 0
        self._left_out = 0
        self._refused = 0

    def rehearse(self) -> None:
        """Say what would be published."""
        from streakline.cli.output import say

        for _, letter in self._letters():
            say(f"{letter.id} would go to {letter.source_topic}")

    def publish(self) -> None:
        """Raises `CommandError` where the broker did not acknowledge everything, `TopicsError` where it is away."""
        from producers.acknowledged import AcknowledgedProducer
        from producers.dead_letters import REQUEUED_FROM
        from producers.topics import TopicsError
        from streakline.cli.output import say

        self._check_topics()
        producer = AcknowledgedProducer(self._kafka, _ACKNOWLEDGED_WITHIN_SECONDS)
        away: TopicsError | None = None
        try:
            for message, letter in self._letters():
                producer.wait(0)
                header = (REQUEUED_FROM, letter.id.encode())
                producer.send(letter.source_topic or "", letter.value, message.key(), [header])
                if producer.has_timed_out:
                    break
        except TopicsError as error:
            away = error
        finally:
            producer.finish()
            for topic, count in sorted(producer.acknowledged.items()):
                say(f"requeued {_letters_of(count)} on {topic}")
        if lost := producer.records - producer.acknowledged.total():
            raise CommandError(
                f"the broker did not acknowledge {lost:,} of {_letters_of(producer.records)} ({producer.error}): check "
                "it, then requeue the same letters again; what has arrived is ignored the second time",
                ExitCode.UNAVAILABLE,
            )
        if away is not None:
            raise away

    def report(self) -> None:
        """Raises `CommandError` where a letter could not be requeued."""
        from streakline.cli.output import note

        if self._left_out:
            note(f"left out {_letters_of(self._left_out)} that came back after a requeue: name them by their ids")
        if not self._taken and not self._refused:
            note("there is nothing to requeue")
        if self._refused:
            raise bad_input(f"{_letters_of(self._refused)} cannot be requeued (above): publish by hand what is wanted")

    def _letters(self) -> "Iterator[tuple[Message, DeadLetter]]":
        from streakline.cli.dead_letters_choice import obstacle
        from streakline.cli.output import note

        for message, letter in self._survey.chosen():
            if self._survey.is_left_out(message, letter):
                self._left_out += 1
            elif (why := obstacle(letter, message.key(), self._topics)) is not None:
                self._refused += 1
                if self._refused <= _TOLD:
                    note(f"streakline: {letter.id} cannot be requeued: {why}")
            else:
                self._taken += 1
                yield message, letter

    def _check_topics(self) -> None:
        """A broker may make one that is missing, as it likes, when something is sent to it."""
        from producers.reader import topic_missing
        from producers.topics import partition_counts

        there = partition_counts(self._kafka, timeout_seconds=BROKER_TIMEOUT_SECONDS)
        for topic in self._topics:
            if topic not in there:
                raise topic_missing(self._kafka, topic)


def _letters_of(count: int) -> str:
    return "1 letter" if count == 1 else f"{count:,} letters"
