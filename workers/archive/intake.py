"""From a record of a topic to what is kept of it."""

import logging
from collections.abc import Callable

from confluent_kafka import Message

from producers.codec import MalformedEvent, decode, decode_signal
from producers.events import MAX_INTEGER, Signal
from producers.topics import Topics
from workers.archive.metrics import ArchiveMetrics
from workers.archive.rows import ArchivedEvent, Record

logger = logging.getLogger("streakline.archive")

_MAX_DETAIL_CHARACTERS = 300


def markers(names: Topics) -> dict[str, str]:
    """Topic that is archived → the table that has a file of every range of it."""
    return {names.steps: "steps", names.runs: "run_events", names.signals: "signals"}


class Intake:
    """Decodes; what is refused is counted, and told of once a topic. Of the steps it is what the stream app refuses."""

    def __init__(self, names: Topics, metrics: ArchiveMetrics) -> None:
        self._metrics = metrics
        self._steps = names.steps
        self._decoders: dict[str, Callable[[bytes], ArchivedEvent]] = {
            names.steps: decode,
            names.runs: decode,
            names.signals: decode_signal,
        }
        self._told: set[str] = set()

    def record_in(self, topic: str, message: Message) -> Record | None:
        """What `message` of `topic` holds; None where that is no event, or a step that is not under its run's key."""
        offset, published_ms = message.offset() or 0, message.timestamp()[1]
        try:
            event = self._decoders[topic](message.value() or b"")
        except MalformedEvent as refused:
            self._leave_out(topic, message, str(refused))
            return None
        if isinstance(event, Signal) and not _fits(event):
            self._leave_out(topic, message, "a number in it is larger than any column holds")
            return None
        if topic == self._steps and message.key() != event.run_id.encode():
            self._leave_out(topic, message, "wrong_key: the record's key is not its run_id")
            return None
        return Record(offset, published_ms if published_ms >= 0 else None, event)

    def _leave_out(self, topic: str, message: Message, detail: str) -> None:
        self._metrics.skipped.labels(topic).inc()
        if topic not in self._told:
            where = f"record {message.offset()} of {topic}/{message.partition()}"
            logger.warning("%s has no row, as others like it: %s", where, detail[:_MAX_DETAIL_CHARACTERS])
        self._told.add(topic)


def _fits(signal: Signal) -> bool:
    """Whether its columns hold it: the contract bounds all numbers but these."""
    drop = 0 if signal.regression is None else signal.regression.drop_basis_points
    return all(abs(number) <= MAX_INTEGER for number in (drop, *(signal.layers or {}).values()))
