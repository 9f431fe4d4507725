"""Reading a topic from its first record to its last, without a consumer group."""

from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from producers.kafka import KafkaSettings, reader_config
from producers.refusals import wrong_settings
from producers.topics import TopicsError, broker_away
from producers.unreadable import Unreadable

# Short, so that Ctrl-C is heard while nothing comes.
_POLL_SECONDS = 0.2

# What the client fetches ahead; its default is 64 MiB.
_FETCH_AHEAD_KBYTES = 16_384

_RECONNECTING = frozenset(
    (
        KafkaError._TRANSPORT,  # noqa: SLF001  # librdkafka's own errors have no other name
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
    )
)
_MISSING = frozenset((KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC))  # noqa: SLF001


def read_topic(
    kafka: KafkaSettings, topic: str, *, follow: bool = False, timeout_seconds: float = 10.0
) -> Iterator[Message]:
    """Every record of `topic`, each partition in order; with `follow`, also those to come, without end.

    The end of a partition is where the broker says it is when it is reached. What cannot be decompressed is passed
    over, and told of in the log. Nothing is committed, and memory does not grow with the topic. Raises `TopicsError`
    where the topic is missing, or the broker gives no answer for `timeout_seconds`, `SettingsError` for certificate
    files that are none.
    """
    try:
        consumer = Consumer(reader_config(kafka) | {"queued.max.messages.kbytes": _FETCH_AHEAD_KBYTES})
    except KafkaException as error:
        raise wrong_settings(error) from None
    try:
        partitions = _partitions(consumer, kafka, topic, timeout_seconds)
        # Ends are taken from the fetches and not asked for: not every broker knows them otherwise (Tansu).
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        yield from _records(consumer, kafka, topic, partitions, follow=follow, timeout_seconds=timeout_seconds)
    finally:
        consumer.close()


def topic_missing(kafka: KafkaSettings, topic: str) -> TopicsError:
    """The sentence for a topic that is not there."""
    return TopicsError(
        f"there is no topic {topic} on the broker at {kafka.kafka_bootstrap}: "
        "make it with `streakline topics ensure`, or set STREAKLINE_TOPIC_PREFIX"
    )


def _partitions(consumer: Consumer, kafka: KafkaSettings, topic: str, timeout_seconds: float) -> set[int]:
    try:
        metadata = consumer.list_topics(topic, timeout=timeout_seconds).topics[topic]
    except KafkaException as error:
        raise broker_away(kafka, error) from None
    if metadata.error is None:
        return set(metadata.partitions)
    raise _refused(kafka, topic, metadata.error)


def _refused(kafka: KafkaSettings, topic: str, error: KafkaError) -> TopicsError:
    if error.code() in _MISSING:
        return topic_missing(kafka, topic)
    return TopicsError(f"cannot read topic {topic} on the broker at {kafka.kafka_bootstrap}: {error.str()}")


def _records(
    consumer: Consumer, kafka: KafkaSettings, topic: str, partitions: set[int], *, follow: bool, timeout_seconds: float
) -> Iterator[Message]:
    unreadable = Unreadable(consumer)
    unfinished = set(partitions)
    # Time spent polling in vain, which is not the time since the last record: the reader may have been busy with it.
    idle_seconds = 0.0
    reason = KafkaError(KafkaError._TIMED_OUT)  # noqa: SLF001
    while unfinished or follow:
        message = consumer.poll(_POLL_SECONDS)
        if message is None:
            idle_seconds += _POLL_SECONDS
            if idle_seconds >= timeout_seconds:
                if unfinished:
                    raise broker_away(kafka, KafkaException(reason))
                # Nothing to read is no proof that the broker is there.
                _partitions(consumer, kafka, topic, timeout_seconds)
                idle_seconds = 0.0
            continue
        error = message.error()
        if error is not None and error.code() in _RECONNECTING:
            reason = error
            continue
        idle_seconds = 0.0
        if error is None:
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            partition = message.partition() or 0
            unfinished.discard(partition)
            if not follow:
                consumer.pause([TopicPartition(topic, partition)])
        elif unreadable.pass_over(message) is None:
            raise _refused(kafka, topic, error)
