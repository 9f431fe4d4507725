"""One builder for every client's settings; librdkafka itself takes what it builds."""

import pytest
from confluent_kafka import Consumer, Producer

from producers.codec import MAX_EVENT_BYTES
from producers.kafka import MAX_RECORD_BYTES, KafkaSettings, client_config, producer_config, reader_config


def test_the_default_is_plain_and_local() -> None:
    config = client_config(KafkaSettings())
    assert config["bootstrap.servers"] == "127.0.0.1:9092"
    assert config["security.protocol"] == "PLAINTEXT"
    assert not [name for name in config if name.startswith(("ssl", "sasl"))]


def test_tls_names_only_the_files_there_are() -> None:
    config = client_config(KafkaSettings(kafka_security_protocol="SSL", kafka_ssl_ca="/ca.pem"))
    assert {name: value for name, value in config.items() if name.startswith("ssl")} == {"ssl.ca.location": "/ca.pem"}


def test_a_client_may_show_a_certificate_of_its_own() -> None:
    settings = KafkaSettings(
        kafka_security_protocol="SSL", kafka_ssl_certificate="/client.pem", kafka_ssl_key="/client.key"
    )
    assert {name: value for name, value in client_config(settings).items() if name.startswith("ssl")} == {
        "ssl.certificate.location": "/client.pem",
        "ssl.key.location": "/client.key",
    }


def test_what_the_protocol_does_not_use_is_not_sent() -> None:
    plain = KafkaSettings(kafka_ssl_ca="/ca.pem", kafka_sasl_username="streakline", kafka_sasl_password="secret")
    assert not [name for name in client_config(plain) if name.startswith(("ssl", "sasl"))]
    sasl = KafkaSettings(
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_ssl_ca="/ca.pem",
        kafka_sasl_username="streakline",
        kafka_sasl_password="secret",
    )
    assert not [name for name in client_config(sasl) if name.startswith("ssl")]


def test_sasl_over_tls() -> None:
    config = client_config(
        KafkaSettings(
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_username="streakline",
            kafka_sasl_password="secret",
            kafka_ssl_ca="/ca.pem",
        )
    )
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (config["sasl.username"], config["sasl.password"]) == ("streakline", "secret")
    assert config["ssl.ca.location"] == "/ca.pem"


@pytest.mark.parametrize(("user", "password"), [(None, None), ("streakline", None), (None, "secret")])
def test_sasl_needs_a_user_and_a_password(user: str | None, password: str | None) -> None:
    with pytest.raises(ValueError, match="needs a user and a password"):
        KafkaSettings(kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_username=user, kafka_sasl_password=password)


def test_a_producer_keeps_order_and_hashes_as_java_does() -> None:
    config = producer_config(KafkaSettings(kafka_compression="gzip"))
    assert config["enable.idempotence"] is True
    assert config["partitioner"] == "murmur2_random"
    assert config["compression.type"] == "gzip"


def test_the_client_knows_every_setting() -> None:
    settings = KafkaSettings(
        kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_username="streakline", kafka_sasl_password="secret"
    )
    Producer(producer_config(settings))
    Consumer(reader_config(settings)).close()


def test_the_largest_event_is_a_record_that_every_producer_may_send() -> None:
    # A key of 128 bytes, headers and the batch around them come on top.
    assert producer_config(KafkaSettings())["message.max.bytes"] == MAX_RECORD_BYTES >= MAX_EVENT_BYTES + 65_536


def test_a_reader_starts_at_the_beginning_and_commits_nothing() -> None:
    config = reader_config(KafkaSettings())
    assert config["enable.auto.commit"] is False
    assert config["auto.offset.reset"] == "earliest"
