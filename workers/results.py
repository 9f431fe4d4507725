"""What becomes of a job: `DiffCompleted` or `DiffFailed` on the diffs topic, and a dead letter for the latter."""

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from producers.codec import encode
from producers.events import DiffCompleted, DiffFailed
from producers.kafka import KafkaSettings, producer_config
from producers.topics import Topics
from workers.errors import TransientDiffError
from workers.pending import Entry

_ACKNOWLEDGED_WITHIN_SECONDS = 30.0


class Results:
    """Publishes and waits until the broker has it. Raises `TransientDiffError` where it has not in time."""

    def __init__(self, kafka: KafkaSettings, topics: Topics) -> None:
        self._producer = Producer(producer_config(kafka))
        self._topics = topics

    def completed(self, event: DiffCompleted) -> None:
        """The diff is in the lake."""
        self._send((self._topics.diffs, event.project.encode(), encode(event), []))

    def failed(self, entry: Entry, event: DiffFailed) -> None:
        """The diff cannot be made: told to whoever follows the diffs, and the record kept as it came."""
        self._send(
            (self._topics.diffs, event.project.encode(), encode(event), []),
            (self._topics.dead_letters, entry.key, entry.value, self._headers(entry, event.reason, event.error)),
        )

    def refused(self, entry: Entry, reason: str, detail: str) -> None:
        """The record is no event."""
        self._send((self._topics.dead_letters, entry.key, entry.value, self._headers(entry, reason, detail)))

    def _headers(self, entry: Entry, reason: str, detail: str) -> list[tuple[str, str | bytes | None]]:
        texts = {
            "reason": reason,
            "detail": detail[:1000],
            "source-topic": self._topics.runs,
            "source-partition": str(entry.partition),
            "source-offset": str(entry.offset),
        }
        return [(name, text.encode(errors="replace")) for name, text in texts.items()]

    def _send(self, *records: tuple[str, bytes | None, bytes | None, list[tuple[str, str | bytes | None]]]) -> None:
        errors: list[KafkaError] = []

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                errors.append(error)

        try:
            for topic, key, value, headers in records:
                self._producer.produce(topic, value, key, headers=headers, on_delivery=on_delivery)
        except (KafkaException, BufferError) as error:
            raise TransientDiffError("unavailable", f"the broker took no result ({error})") from None
        left = self._producer.flush(_ACKNOWLEDGED_WITHIN_SECONDS)
        if left or errors:
            why = errors[0].str() if errors else f"no answer in {_ACKNOWLEDGED_WITHIN_SECONDS:g} s"
            raise TransientDiffError("unavailable", f"the broker did not acknowledge a result ({why})")
