from collections.abc import Iterable

import pytest
from confluent_kafka import Message, Producer

from producers.kafka import KafkaSettings, producer_config
from producers.reader import read_topic
from producers.settings import SettingsError
from producers.topics import TopicsError, TopicSettings, ensure_topics, topic_names
from streakline.broker import start_broker
from streakline.processes import free_port, stop
from tests.record_batches import ZSTD, batch, bomb, honest, produce


def write(kafka: KafkaSettings, topic: str, records: Iterable[tuple[int, bytes]], *, batch: int = 1000) -> None:
    """Write `records`, each to the partition it names, in batches of several."""
    producer = Producer(producer_config(kafka) | {"linger.ms": 50})
    for count, (partition, value) in enumerate(records, 1):
        producer.produce(topic, value, partition=partition)
        if count % batch == 0:
            producer.flush()
    producer.flush()


def values(messages: Iterable[Message], partition: int) -> list[bytes | None]:
    return [message.value() for message in messages if message.partition() == partition]


def numbered(count: int, partition: int) -> list[tuple[int, bytes]]:
    return [(partition, b"%d/%d" % (partition, number)) for number in range(count)]


@pytest.fixture
def topic(topics: TopicSettings) -> str:
    return topic_names(topics).signals


def test_a_topic_without_records_has_an_end(kafka: KafkaSettings, topic: str) -> None:
    assert list(read_topic(kafka, topic)) == []


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_every_record_is_read_in_order_to_the_very_last(kafka: KafkaSettings, topic: str, batch: int) -> None:
    # Partition 2 stays empty.
    records = [*numbered(30, 0), *numbered(1, 1), *numbered(11, 3)]
    write(kafka, topic, records, batch=batch)
    messages = list(read_topic(kafka, topic))
    assert [len(values(messages, partition)) for partition in range(4)] == [30, 1, 0, 11]
    for partition in range(4):
        assert values(messages, partition) == [value for each, value in records if each == partition]


def test_the_last_batch_is_read_whole_after_earlier_ones(kafka: KafkaSettings, topic: str) -> None:
    write(kafka, topic, numbered(100, 1), batch=10)
    write(kafka, topic, [(1, b"last/%d" % number) for number in range(9)])
    assert values(read_topic(kafka, topic), 1)[-1] == b"last/8"


def test_reading_twice_reads_the_same(kafka: KafkaSettings, topic: str) -> None:
    write(kafka, topic, numbered(20, 0))
    assert [len(list(read_topic(kafka, topic))) for _ in range(2)] == [20, 20]


def test_following_gives_what_comes_after_the_end(kafka: KafkaSettings, topic: str) -> None:
    write(kafka, topic, numbered(3, 0))
    messages = read_topic(kafka, topic, follow=True)
    assert values([next(messages) for _ in range(3)], 0) == [b"0/0", b"0/1", b"0/2"]
    write(kafka, topic, numbered(2, 3))
    assert values([next(messages) for _ in range(2)], 3) == [b"3/0", b"3/1"]
    messages.close()  # type: ignore[attr-defined]


def test_a_missing_topic_says_how_to_make_it(kafka: KafkaSettings) -> None:
    with pytest.raises(TopicsError, match=r"there is no topic nowhere on the broker .* `streakline topics ensure`"):
        next(read_topic(kafka, "nowhere"))
    with pytest.raises(TopicsError, match=r"there is no topic nowhere"):
        next(read_topic(kafka, "nowhere"))


def test_a_broker_that_is_away_says_so() -> None:
    away = KafkaSettings(kafka_bootstrap="127.0.0.1:1")
    with pytest.raises(TopicsError, match=r"no answer from the broker at 127.0.0.1:1"):
        next(read_topic(away, "any", timeout_seconds=1.0))


def test_settings_that_librdkafka_refuses_are_a_sentence() -> None:
    wrong = KafkaSettings(kafka_security_protocol="SSL", kafka_ssl_ca="/no/such.pem")
    with pytest.raises(SettingsError, match=r"STREAKLINE_KAFKA_SSL_CA: the file cannot be used"):
        next(read_topic(wrong, "any", timeout_seconds=1.0))


@pytest.mark.parametrize("follow", [True, False])
def test_a_broker_that_goes_away_ends_the_reading(follow: bool) -> None:
    port = free_port()
    broker = start_broker(port)
    kafka, settings = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{port}"), TopicSettings(partitions=2)
    topic = topic_names(settings).steps
    try:
        ensure_topics(kafka, settings)
        # More than the client fetches ahead.
        write(kafka, topic, ((0, b"x" * 500_000) for _ in range(80)), batch=10)
        messages = read_topic(kafka, topic, follow=follow, timeout_seconds=1.0)
        next(messages)
    finally:
        broker.kill()
        stop(broker)
    with pytest.raises(TopicsError, match=f"no answer from the broker at 127.0.0.1:{port}"):
        list(messages)


def test_a_batch_that_cannot_be_decompressed_is_passed_over(
    kafka: KafkaSettings, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    for raw in (honest([b"before"]), batch(bomb(ZSTD, 300), ZSTD, count=3), honest([b"after"])):
        assert produce(kafka, topic, 1, raw) == 0
    assert values(read_topic(kafka, topic), 1) == [b"before", b"after"]
    said = [record.message.split(" is ")[0] for record in caplog.records if "passed over" in record.message]
    assert said == [f"record {offset} of {topic}/1" for offset in (1, 2, 3)]
