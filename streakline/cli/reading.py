"""What the commands that read topics share."""

from collections.abc import Iterator

from confluent_kafka import Message

from producers.codec import MalformedEvent, decode_signal
from producers.events import Signal
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from streakline.cli.options import BROKER_TIMEOUT_SECONDS
from streakline.cli.output import note
from streakline.cli.progress import progress


class Unreadable:
    """Records of a topic that are not what belongs there: counted, and told of once."""

    def __init__(self) -> None:
        self.records = 0

    def tell(self, topic: str) -> None:
        """One line on stderr, where there were some."""
        if self.records:
            what = "1 record" if self.records == 1 else f"{self.records:,} records"
            note(f"streakline: left out {what} of {topic} that could not be read")


def read_records(
    kafka: KafkaSettings, topic: str, *, follow: bool = False, beside_output: bool = False
) -> Iterator[Message]:
    """`producers.reader.read_topic` with a progress bar."""
    with progress(f"reading {topic}", total=None, unit="records", beside_output=beside_output) as advance:
        for message in read_topic(kafka, topic, follow=follow, timeout_seconds=BROKER_TIMEOUT_SECONDS):
            advance(1)
            yield message


def read_signals(
    kafka: KafkaSettings, topic: str, unreadable: Unreadable, *, follow: bool = False, beside_output: bool = False
) -> Iterator[Signal]:
    """Every signal once: after a crash the stream application may have written some twice, under the same id.

    Memory grows with the signals' ids.
    """
    seen: set[str] = set()
    for message in read_records(kafka, topic, follow=follow, beside_output=beside_output):
        try:
            signal = decode_signal(message.value() or b"")
        except MalformedEvent:
            unreadable.records += 1
            continue
        if signal.signal_id not in seen:
            seen.add(signal.signal_id)
            yield signal
