"""From what is on the topics to figures: the judge is an offline replay of the steps topic by the pure engine."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from confluent_kafka import Message
from msgspec import Struct

from producers.codec import MalformedEvent, decode, decode_signal, encode
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from stream_app.engine.replay import Replay
from stream_app.engine.state import RunState
from stream_app.records import decode_record, is_behind
from tests.committed import committed
from tests.faults.cases import Figures
from tests.worker import header

K = TypeVar("K")

Source = tuple[int, int]
"""partition and offset of a record of the steps topic"""


class Undisturbed(Struct, frozen=True):
    """What the steps topic comes to."""

    signals: dict[str, bytes]
    """encoded, by id"""
    refused: set[Source]
    states: dict[str, RunState]


class Found(Struct, frozen=True):
    """What there is of something that is known by a key: how much is missing, too much, and there again."""

    missing: int
    extra: int
    duplicates: int


def undisturbed(records: Iterable[Message]) -> Undisturbed:
    """The pure engine over the records of the steps topic."""
    replay, signals, refused = Replay(), {}, set[Source]()
    for record in records:
        source = (record.partition() or 0, record.offset() or 0)
        try:
            event = decode(record.value() or b"")
        except MalformedEvent:
            refused.add(source)
            continue
        if event.run_id.encode() != record.key():
            refused.add(source)
            continue
        signal = replay.apply(event)
        if signal is not None:
            signals[signal.signal_id] = encode(signal)
    return Undisturbed(signals, refused, replay.states)


def judged(kafka: KafkaSettings, topics: TopicSettings, *, lag: int) -> Figures:
    """What stream workers have made of the steps topic, once all of them have ended. `lag`: see `lag_in_the_end`."""
    names = topic_names(topics)
    expected = undisturbed(read_topic(kafka, names.steps))
    emitted = [decode_signal(message.value() or b"") for message in read_topic(kafka, names.signals)]
    signals = compared(expected.signals, [(signal.signal_id, encode(signal)) for signal in emitted])
    letters = compared(
        dict.fromkeys(expected.refused, b""),
        [(_source_of(letter), b"") for letter in read_topic(kafka, names.dead_letters)],
    )
    states = stored_states(kafka, topics)
    wrong = [run_id for run_id in states.keys() | expected.states if states.get(run_id) != expected.states.get(run_id)]
    return Figures(
        expected=len(expected.signals) + len(expected.refused),
        missing=signals.missing + letters.missing,
        extra=signals.extra + letters.extra,
        duplicates=signals.duplicates + letters.duplicates,
        wrong_states=len(wrong),
        lag=lag,
    )


def compared(expected: Mapping[K, bytes], found: Iterable[tuple[K, bytes]]) -> Found:
    """What was found, by key and content, against what had to be; what has other content is too much."""
    counts = Counter(found)
    right = {key: counts[key, content] for key, content in expected.items()}
    extra = sum(count for (key, content), count in counts.items() if expected.get(key) != content)
    missing = sum(not count for count in right.values())
    return Found(missing, extra, sum(max(0, count - 1) for count in right.values()))


def stored_states(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, RunState]:
    """Each run's state as a worker with an empty data directory gets it: a row that is behind another is left out."""
    rows: dict[str, bytes] = {}
    for message in read_topic(kafka, topic_names(topics).state_changelog):
        run_id, raw = (message.key() or b"").decode(), message.value()
        if raw is None:
            rows.pop(run_id, None)
        elif run_id not in rows or not is_behind(raw, rows[run_id]):
            rows[run_id] = raw
    return {run_id: decode_record(raw).state for run_id, raw in rows.items()}


def ends(kafka: KafkaSettings, topics: TopicSettings) -> list[int]:
    """Of each partition of the steps topic: one past its last record, which Tansu does not tell."""
    found = [0] * topics.partitions
    for record in read_topic(kafka, topic_names(topics).steps):
        found[record.partition() or 0] = (record.offset() or 0) + 1
    return found


def lags(kafka: KafkaSettings, topics: TopicSettings, until: Sequence[int]) -> list[int]:
    """Of each partition of the steps topic: how many records before these ends the stream workers have not consumed."""
    there = committed(kafka, topics)
    return [max(0, end - there[partition]) for partition, end in enumerate(until)]


def lag_in_the_end(kafka: KafkaSettings, topics: TopicSettings, *, timeout_seconds: float = 120.0) -> int:
    """Wait until all that is on the steps topic now has been consumed, and return how many records have not when the
    time is over.
    """
    until, deadline = ends(kafka, topics), time.monotonic() + timeout_seconds
    while (lag := sum(lags(kafka, topics, until))) and time.monotonic() < deadline:
        time.sleep(0.2)
    return lag


def _source_of(letter: Message) -> Source:
    return int(header(letter, "source-partition")), int(header(letter, "source-offset"))
