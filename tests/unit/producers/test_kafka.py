"""One builder for every client's settings; librdkafka itself takes what it builds."""

import pytest
from confluent_kafka import Consumer, Producer

from producers.kafka import KafkaSettings, client_config, producer_config, reader_config


def test_the_default_is_plain_and_local() -> None:
    config = client_config(KafkaSettings())
    assert config["bootstrap.servers"] == "127.0.0.1:9092"
    assert config["security.protocol"] == "PLAINTEXT"
    assert not [name for name in config if name.startswith(("ssl", "sasl"))]


def test_tls_names_only_the_files_there_are() -> None:
    config = client_config(KafkaSettings(kafka_security_protocol="SSL", kafka_ssl_ca="/ca.pem"))
    assert {name: value for name, value in config.items() if name.startswith("ssl")} == {"ssl.ca.location": "/ca.pem"}


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
