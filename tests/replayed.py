"""What is on the signals topic, and what has to be: an offline replay of the steps topic by the pure engine."""

from producers.codec import MalformedEvent, decode, encode
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from stream_app.engine.replay import signals_of
from tests.publishing import signals_on


def emitted(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, bytes]:
    """The signals, encoded, by id; one that is there twice counts once."""
    return {signal.signal_id: encode(signal) for signal in signals_on(kafka, topics)}


def replayed(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, bytes]:
    """The same of a replay."""
    events = []
    for message in read_topic(kafka, topic_names(topics).steps):
        try:
            events.append(decode(message.value() or b""))
        except MalformedEvent:
            continue
    return {signal.signal_id: encode(signal) for signal in signals_of(events)}
