"""What a Kafka client says of a connection, and what a person is told. Real brokers refuse in tests/integration."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from producers.refusals import refusal, wrong_settings


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (KafkaError._AUTHENTICATION, "SASL authentication error: Authentication failed", "the user or the password"),
        (
            KafkaError._AUTHENTICATION,
            "Unsupported SASL mechanism: broker's supported mechanisms: PLAIN,SCRAM-SHA-512 (after 3ms in state X)",
            "it takes the SASL mechanisms PLAIN,SCRAM-SHA-512 only: set STREAKLINE_KAFKA_SASL_MECHANISM",
        ),
        (KafkaError._SSL, "SSL handshake failed: certificate verify failed", "STREAKLINE_KAFKA_SSL_CA"),
        (KafkaError._SSL, "tlsv13 alert certificate required", "STREAKLINE_KAFKA_SSL_CERTIFICATE"),
        (KafkaError._TRANSPORT, "connecting to a PLAINTEXT broker listener?", "it speaks no TLS there"),
        (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down", "ends them without a word"),
    ],
)
def test_settings_that_can_mend_it_are_named(code: int, said: str, told: str) -> None:
    assert told in (refusal(KafkaError(code, said), is_first=True) or "")


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._RESOLVE])
def test_a_broker_that_is_away_refuses_nobody(code: int) -> None:
    assert refusal(KafkaError(code, "Connect to 127.0.0.1:1 failed: Connection refused"), is_first=True) is None
    assert refusal(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"), is_first=False) is None


def test_settings_that_no_client_can_be_made_of() -> None:
    error = KafkaException(KafkaError(KafkaError._INVALID_ARG, "ssl.key.location failed: key values mismatch"))
    assert str(wrong_settings(error)).startswith("STREAKLINE_KAFKA_SSL_KEY: the file cannot be used")
    other = KafkaException(KafkaError(KafkaError._INVALID_ARG, "something else"))
    assert "(something else): see STREAKLINE_KAFKA_…" in str(wrong_settings(other))
