"""Publishing recorded events again: paced by their own clock, acknowledged, in bounded memory."""

import re
import time
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec import Struct
from msgspec.structs import replace

from producers.codec import decode, encode
from producers.events import StepEvent, TrainerEvent
from producers.kafka import MAX_RECORD_BYTES, KafkaSettings, producer_config
from producers.reader import topic_missing, wrong_settings
from producers.topics import Topics, partition_counts

# Short, so that Ctrl-C is heard while nothing happens.
_POLL_SECONDS = 0.2

# What may wait in the client for the broker; its default is 1 GiB.
_QUEUE_KBYTES = 65_536

MAX_RAW_BYTES = MAX_RECORD_BYTES - 4096
"""what there is room for beside a record's key and frame"""

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
    publisher = _Publisher(kafka, timeout_seconds)
    pace = Pace(speed)
    count = 0
    try:
        for event in events:
            publisher.wait(pace.wait_seconds(event.ts, time.monotonic()))
            publisher.send(topics.steps, event)
            if event.is_lifecycle:
                publisher.send(topics.runs, event)
            count += 1
            if publisher.has_timed_out:
                break
    except Exception:
        # Whatever ended the events, those before it are on their way.
        publisher.finish(count)
        raise
    return publisher.finish(count)


class _Publisher:
    def __init__(self, kafka: KafkaSettings, timeout_seconds: float) -> None:
        config = producer_config(kafka) | {
            "queue.buffering.max.kbytes": _QUEUE_KBYTES,
            "message.timeout.ms": int(timeout_seconds * 1000),
        }
        try:
            self._producer = Producer(config)
        except KafkaException as error:
            raise wrong_settings(error) from None
        self._records = 0
        self._acknowledged = 0
        self._error: str | None = None
        self.has_timed_out = False

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass, and the broker's answers in."""
        self._producer.poll(0)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.has_timed_out:
            self._producer.poll(min(left, _POLL_SECONDS))

    def send(self, topic: str, event: Recorded) -> None:
        """Hand one record to the client, waiting while its queue is full."""
        self._records += 1
        while True:
            try:
                self._producer.produce(topic, event.value, event.key, on_delivery=self._answered)
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
            except KafkaException as error:
                self._fail(error.args[0])
                return
            else:
                return

    def finish(self, events: int) -> Published:
        """Wait for the last answers."""
        while self._producer.flush(_POLL_SECONDS):
            pass
        return Published(events, self._records, self._acknowledged, self._error)

    def _answered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self._acknowledged += 1
        else:
            self._fail(error)

    def _fail(self, error: KafkaError) -> None:
        self._error = self._error or error.str()
        if error.code() == KafkaError._MSG_TIMED_OUT:  # noqa: SLF001  # librdkafka's own errors have no other name
            self.has_timed_out = True
