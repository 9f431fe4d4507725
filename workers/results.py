"""What becomes of a job: `DiffCompleted` or `DiffFailed` on the diffs topic, and a dead letter for the latter."""

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from producers.codec import encode
from producers.dead_letters import MAX_LETTER_BYTES, Source, letter_of
from producers.events import DiffCompleted, DiffFailed
from producers.kafka import KafkaSettings, producer_config
from producers.topics import Topics
from workers.errors import TransientDiffError
from workers.pending import Entry

_ACKNOWLEDGED_WITHIN_SECONDS = 30.0

_Record = tuple[str, bytes | None, bytes | None, list[tuple[str, str | bytes | None]]]
"""topic, key, value, headers"""
_Sent = tuple[str, bytes | None, bytes | None]
"""topic, key and value"""


class Results:
    """Publishes and waits until the broker has it. Raises `TransientDiffError` where it has not in time."""

    def __init__(self, kafka: KafkaSettings, topics: Topics) -> None:
        self._producer = Producer(producer_config(kafka) | {"message.max.bytes": MAX_LETTER_BYTES})
        self._topics = topics
        self._under_way: set[_Sent] = set()
        """neither acknowledged nor given up: the client goes on trying, and to send it again would tell it twice"""
        self._errors: dict[_Sent, KafkaError] = {}

    def completed(self, event: DiffCompleted) -> None:
        """The diff is in the lake."""
        self._send((self._topics.diffs, event.project.encode(), encode(event), []))

    def failed(self, entry: Entry, event: DiffFailed) -> None:
        """The diff cannot be made: told to whoever follows the diffs, and the record kept as it came."""
        self._send(
            (self._topics.diffs, event.project.encode(), encode(event), []),
            self._letter(entry, event.reason, event.error),
        )

    def refused(self, entry: Entry, reason: str, detail: str) -> None:
        """The record is no event."""
        self._send(self._letter(entry, reason, detail))

    def _letter(self, entry: Entry, reason: str, detail: str) -> _Record:
        source = Source(self._topics.runs, entry.partition, entry.offset, entry.key, entry.value, entry.requeued_from)
        letter = letter_of(source, reason, detail)
        return self._topics.dead_letters, letter.key, letter.value, [*letter.headers]

    def _send(self, *records: _Record) -> None:
        sent = [(topic, key, value) for topic, key, value, _ in records]
        try:
            for record, (*_, headers) in zip(sent, records, strict=True):
                self._produce(record, headers)
        except (KafkaException, BufferError) as error:
            raise TransientDiffError("unavailable", f"the broker took no result ({error})") from None
        self._producer.flush(_ACKNOWLEDGED_WITHIN_SECONDS)
        errors = [self._errors.pop(record) for record in sent if record in self._errors]
        if errors or not self._under_way.isdisjoint(sent):
            why = errors[0].str() if errors else f"no answer in {_ACKNOWLEDGED_WITHIN_SECONDS:g} s"
            raise TransientDiffError("unavailable", f"the broker did not acknowledge a result ({why})")

    def _produce(self, record: _Sent, headers: list[tuple[str, str | bytes | None]]) -> None:
        if record in self._under_way:
            return

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            self._under_way.discard(record)
            if error is not None:
                self._errors[record] = error

        topic, key, value = record
        self._under_way.add(record)
        try:
            self._producer.produce(topic, value, key, headers=headers, on_delivery=on_delivery)
        except BaseException:
            self._under_way.discard(record)
            raise
