"""Publishing recorded events again: paced by their own clock, acknowledged, in bounded memory."""

import re
import time
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from producers.acknowledged import AcknowledgedProducer
from producers.codec import decode, encode
from producers.events import StepEvent, TrainerEvent
from producers.kafka import KafkaSettings
from producers.reader import topic_missing
from producers.topics import Topics, partition_counts

_RUN_ID = re.compile(rb'"run_id"\s*:\s*"([A-Za-z0-9._:/@-]{1,128})"')


class Recorded(Struct, frozen=True):
    """One recorded event, as it is to be published."""

    value: bytes
    key: bytes | None
    ts: float | None = None
    """Unix seconds at which it was recorded; None: due at once"""
    is_lifecycle: bool = False
    """goes to the runs topic as well"""


def recorded(raw: bytes, *, run_id: str | None = None, attempt: int | None = None) -> Recorded:
    """The event in `raw`: as it came, or encoded anew where it gets another `run_id` or `attempt`.

    Raises `producers.codec.MalformedEvent` where `raw` is none.

    >>> recorded(b'{"run_id": "a", "step": 3, "ts": 1.0, "loss": 2}').key
    b'a'
    >>> recorded(b'{"run_id": "a", "step": 3, "ts": 1.0, "loss": 2}', run_id="b").value
    b'{"run_id":"b","step":3,"ts":1.0,"loss":2.0}'
    """
    event = decode(raw)
    if run_id is not None or attempt is not None:
        event = _renamed(event, run_id, attempt)
        raw = encode(event)
    return Recorded(raw, event.run_id.encode(), event.ts, not isinstance(event, StepEvent))


def _renamed(event: TrainerEvent, run_id: str | None, attempt: int | None) -> TrainerEvent:
    return replace(
        event,
        run_id=event.run_id if run_id is None else run_id,
        attempt=event.attempt if attempt is None else attempt,
    )


def recorded_as_is(raw: bytes) -> Recorded:
    """Bytes that may be no event, to be published as they came; keyed by their run_id where one is to be seen.

    >>> recorded_as_is(b'{"run_id": "a", "step": -3').key
    b'a'
    """
    found = _RUN_ID.search(raw)
    return Recorded(raw, found and found[1])


class Pace:
    """When events are due: `speed` times as fast as they were recorded, or at once where it is 0.

    >>> pace = Pace(10.0)
    >>> pace.wait_seconds(1000.0, now=5.0), pace.wait_seconds(1020.0, now=5.5), pace.wait_seconds(1001.0, now=9.0)
    (0.0, 1.5, 0.0)
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._start: tuple[float, float] | None = None

    def wait_seconds(self, ts: float | None, now: float) -> float:
        """How long after `now`, on a clock of the caller's, the event recorded at `ts` is due."""
        if self._speed == 0 or ts is None:
            return 0.0
        if self._start is None:
            self._start = (ts, now)
        first_ts, first_now = self._start
        return max(0.0, first_now + (ts - first_ts) / self._speed - now)


class Published(Struct, frozen=True):
    """What became of a replay."""

    events: int
    records: int
    """more than events: a lifecycle event goes to two topics"""
    acknowledged: int
    """records that the broker has"""
    error: str | None
    """why the first record that was not acknowledged was not"""


def publish(
    kafka: KafkaSettings,
    topics: Topics,
    events: Iterable[Recorded],
    *,
    speed: float = 0.0,
    timeout_seconds: float = 30.0,
    broker_timeout_seconds: float = 10.0,
) -> Published:
    """Publish `events` in order to the steps topic, lifecycle events to the runs topic as well.

    A record that is not acknowledged within `timeout_seconds` is given up, and no more events are taken then.
    Raises `producers.topics.TopicsError` before it publishes anything where a topic is missing or the broker gives
    no answer for `broker_timeout_seconds`.
    """
    there = partition_counts(kafka, timeout_seconds=broker_timeout_seconds)
    for topic in (topics.steps, topics.runs):
        if topic not in there:
            raise topic_missing(kafka, topic)
    producer = AcknowledgedProducer(kafka, timeout_seconds)
    pace = Pace(speed)
    count = 0
    try:
        for event in events:
            producer.wait(pace.wait_seconds(event.ts, time.monotonic()))
            producer.send(topics.steps, event.value, event.key)
            if event.is_lifecycle:
                producer.send(topics.runs, event.value, event.key)
            count += 1
            if producer.has_timed_out:
                break
    finally:
        # Whatever ended the events, those before it are on their way.
        producer.finish()
    return Published(count, producer.records, producer.acknowledged.total(), producer.error)
