"""Batches of records that the client cannot decompress, and at which it would stay for ever."""

import logging
from collections.abc import Iterable, Iterator

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

_log = logging.getLogger("streakline")


class Unreadable:
    """Leads one consumer past them, an offset at a time: where such a batch ends the client does not say.

    Of messages that were consumed together only the first error of a partition may be passed over, see `once`: the
    others tell of the same offset.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._passed: dict[tuple[str, int], tuple[int, int]] = {}
        """partition → where the last such batch begins, and the last offset of it that was given up"""

    def pass_over(self, message: Message) -> int | None:
        """The offset that is given up, and behind which the consumer goes on; None where that is not what it needs.

        `message` is one with an error. Raises KafkaException where the consumer has no such partition any more.
        """
        error, topic, partition = message.error(), message.topic() or "", message.partition() or 0
        if error is None or error.code() != KafkaError._BAD_COMPRESSION:  # noqa: SLF001  # it has no other name
            return None
        # It is that of the batch's beginning, from wherever in it one reads.
        begin = message.offset() or 0
        known, last = self._passed.get((topic, partition), (-1, -1))
        offset = last + 1 if begin == known else begin
        self._passed[topic, partition] = begin, offset
        self._consumer.seek(TopicPartition(topic, partition, offset + 1))
        _log.warning("record %d of %s/%d is passed over: %s", offset, topic, partition, error.str())
        return offset


def once(messages: Iterable[Message]) -> Iterator[Message]:
    """`messages` that were consumed together, without what a partition says of itself a second time."""
    told = set()
    for message in messages:
        if (error := message.error()) is not None:
            known_by = error.code(), message.topic(), message.partition()
            if known_by in told:
                continue
            told.add(known_by)
        yield message
