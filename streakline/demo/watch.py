"""What the demo knows from the topics: how far each run is, which signals fired, which should have, and the diffs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from msgspec import Struct

from producers.codec import decode, decode_diff, decode_signal, encode
from producers.events import DiffCompleted, DiffEvent, RunCompleted, RunFailed, Signal, StepEvent
from producers.kafka import KafkaSettings, reader_config
from producers.topics import TopicSettings, topic_names
from stream_app.engine.replay import Replay
from stream_app.histories import ProjectHistory
from stream_app.regressing import advance

POLL_SECONDS = 0.1


class RunProgress(Struct):
    """How far one run is."""

    step: int = -1
    loss: float = float("nan")
    has_ended: bool = False


class Watch:
    """Follows the topics. Judges every step and diff itself, offline, to know which signals must come out."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings) -> None:
        self.runs: dict[str, RunProgress] = {}
        self.signals: dict[str, Signal] = {}
        self.expected: dict[str, Signal] = {}
        self.diffs: dict[str, DiffEvent] = {}
        """run → the last that was told of its diff"""
        self._names = topic_names(topics)
        self._replay = Replay()
        self._histories: dict[str, ProjectHistory] = defaultdict(ProjectHistory)
        self._consumer = Consumer(reader_config(kafka))
        self._consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in (self._names.steps, self._names.signals, self._names.diffs)
                for partition in range(topics.partitions)
            ]
        )

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def poll(self) -> Iterator[Signal | DiffEvent]:
        """Take in what has arrived; gives the signals and diffs that are new, each once."""
        for message in self._consumer.consume(num_messages=1000, timeout=POLL_SECONDS):
            if message.error() is not None:
                continue  # The end of a partition, for now.
            if message.topic() == self._names.steps:
                self._take_event(message)
            elif message.topic() == self._names.diffs:
                yield from self._take_diff(message)
            else:
                signal = decode_signal(message.value() or b"")
                if signal.signal_id not in self.signals:
                    self.signals[signal.signal_id] = signal
                    yield signal

    @property
    def agrees(self) -> bool:
        """Whether exactly the signals have come that an offline replay of the steps and the diffs gives."""
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
            self._expect([expected])
        progress = self.runs.setdefault(event.run_id, RunProgress())
        match event:
            case StepEvent():
                progress.step, progress.loss = event.step, event.loss
            case RunCompleted() | RunFailed():
                progress.has_ended = True

    def _take_diff(self, message: Message) -> Iterator[DiffEvent]:
        event = decode_diff(message.value() or b"")
        if isinstance(event, DiffCompleted):
            self._histories[event.project], regressed = advance(self._histories[event.project], event)
            self._expect(regressed)
        if self.diffs.get(event.run_id) != event:
            self.diffs[event.run_id] = event
            yield event

    def _expect(self, signals: Iterable[Signal]) -> None:
        self.expected |= {signal.signal_id: signal for signal in signals}
