"""The dead letters that somebody asked for, after a first look at all of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from producers.kafka import KafkaSettings
from streakline.cli.dead_letters_choice import Choice, Requeued
from streakline.cli.dead_letters_reading import DeadLetter, dead_letter, id_of, no_such_letter
from streakline.cli.reading import read_records

if TYPE_CHECKING:
    from confluent_kafka import Message


class Survey:
    """What is on the topic by now. Raises `CommandError` where a letter that was named is not."""

    def __init__(self, kafka: KafkaSettings, topic: str, choice: Choice) -> None:
        self._kafka = kafka
        self._topic = topic
        self._choice = choice
        self._requeued = Requeued()
        self._last: dict[int, int] = {}
        missing = set(choice.ids)
        for message in self._read():
            place = id_of(message)
            self._last[place.partition] = place.offset
            self._requeued.note(dead_letter(message), message.key())
            missing.discard(place)
        if missing:
            raise no_such_letter(min(missing))

    def chosen(self) -> "Iterator[tuple[Message, DeadLetter]]":
        """The letters that were asked for, each partition in order; what has come since the first look is none."""
        for message in self._read():
            place = id_of(message)
            if place.offset <= self._last.get(place.partition, -1):
                letter = dead_letter(message)
                if self._choice.takes(letter):
                    yield message, letter

    def is_left_out(self, message: "Message", letter: DeadLetter) -> bool:
        """Whether it was requeued before, to no avail, and is not asked for by its id."""
        return not self._choice.ids and self._requeued.has(letter, message.key())

    def _read(self) -> "Iterator[Message]":
        return read_records(self._kafka, self._topic)
