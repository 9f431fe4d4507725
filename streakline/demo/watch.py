"""What the demo knows from the topics: how far each run is, which signals fired, and which should have."""

from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from msgspec import Struct

from producers.codec import decode, decode_signal, encode
from producers.events import RunCompleted, RunFailed, Signal, StepEvent
from producers.kafka import KafkaSettings, reader_config
from producers.topics import TopicSettings, topic_names
from stream_app.engine.replay import Replay

POLL_SECONDS = 0.1


class RunProgress(Struct):
    """How far one run is."""

    step: int = -1
    loss: float = float("nan")
    has_ended: bool = False


class Watch:
    """Follows the steps and the signals topic. Judges every step itself, offline, to know what must come out."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings) -> None:
        self.runs: dict[str, RunProgress] = {}
        self.signals: dict[str, Signal] = {}
        self.expected: dict[str, Signal] = {}
        self._names = topic_names(topics)
        self._replay = Replay()
        self._consumer = Consumer(reader_config(kafka))
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in (self._names.steps, self._names.signals)
                for partition in range(topics.partitions)
            ]
        )

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def poll(self) -> Iterator[Signal]:
        """Take in what has arrived; gives the signals that are new, each once."""
        for message in self._consumer.consume(num_messages=1000, timeout=POLL_SECONDS):
            if message.error() is not None:
                continue  # The end of a partition, for now.
            if message.topic() == self._names.steps:
                self._take_event(message)
            else:
                signal = decode_signal(message.value() or b"")
                if signal.signal_id not in self.signals:
                    self.signals[signal.signal_id] = signal
                    yield signal

    @property
    def agrees(self) -> bool:
        """Whether exactly the signals have come that an offline replay of the steps topic gives."""
        # As bytes, for a NaN does not equal itself.
        return {key: encode(signal) for key, signal in self.signals.items()} == {
            key: encode(signal) for key, signal in self.expected.items()
        }

    def of_run(self, run_id: str) -> list[Signal]:
        """The run's signals, by step."""
        return sorted((s for s in self.signals.values() if s.run_id == run_id), key=lambda s: (s.attempt, s.step))

    def _take_event(self, message: Message) -> None:
        event = decode(message.value() or b"")
        expected = self._replay.apply(event)
        if expected is not None:
            self.expected[expected.signal_id] = expected
        progress = self.runs.setdefault(event.run_id, RunProgress())
        match event:
            case StepEvent():
                progress.step, progress.loss = event.step, event.loss
            case RunCompleted() | RunFailed():
                progress.has_ended = True
