"""Why a broker lets nobody in: what its client says of that, as a sentence with the remedy."""

import re
import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from producers.kafka import KafkaSettings, client_config
from producers.settings import SettingsError

_ASKED_FOR_SECONDS = 5.0
_MORE_SECONDS = 1.0
_POLL_SECONDS = 0.1

_PROTOCOL = "STREAKLINE_KAFKA_SECURITY_PROTOCOL"
_FILES = {
    "ssl.ca.location": "STREAKLINE_KAFKA_SSL_CA",
    "ssl.certificate.location": "STREAKLINE_KAFKA_SSL_CERTIFICATE",
    "ssl.key.location": "STREAKLINE_KAFKA_SSL_KEY",
}


def refusal(error: KafkaError, *, is_first: bool) -> str | None:
    """The sentence for what a client says of its connections, where settings can mend it; None for any other error.

    That no broker is left to be asked is said after every other error; a client that says it first saw its connections
    ended without a reason.
    """
    said = error.str()
    # librdkafka's own errors have no other name.
    match error.code():
        case KafkaError._AUTHENTICATION:  # noqa: SLF001
            return _unknown(said)
        case KafkaError._SSL:  # noqa: SLF001
            return _untrusted(said)
        case KafkaError._TRANSPORT if "PLAINTEXT broker listener" in said:  # noqa: SLF001
            return f"it speaks no TLS there: set {_PROTOCOL} to PLAINTEXT or SASL_PLAINTEXT, or use its port for TLS"
        case KafkaError._ALL_BROKERS_DOWN if is_first:  # noqa: SLF001
            return (
                "it takes connections and ends them without a word, as one does that demands TLS, SASL or a client's "
                f"certificate: set {_PROTOCOL}, STREAKLINE_KAFKA_SSL_CERTIFICATE and STREAKLINE_KAFKA_SSL_KEY"
            )
        case _:
            return None


def _unknown(said: str) -> str:
    served = re.search(r"supported mechanisms: ([^()]*[^() ])", said)
    if served:
        return f"it takes the SASL mechanisms {served[1]} only: set STREAKLINE_KAFKA_SASL_MECHANISM"
    return (
        "it refuses the user or the password: set STREAKLINE_KAFKA_SASL_USERNAME and STREAKLINE_KAFKA_SASL_PASSWORD, "
        "or the mechanism that they are for with STREAKLINE_KAFKA_SASL_MECHANISM"
    )


def _untrusted(said: str) -> str:
    if "certificate verify failed" in said:
        return (
            "its certificate has expired, is for another host than STREAKLINE_KAFKA_BOOTSTRAP names, or comes from an "
            "authority that is not trusted here: set STREAKLINE_KAFKA_SSL_CA"
        )
    return f"TLS fails ({said}): set STREAKLINE_KAFKA_SSL_CERTIFICATE and STREAKLINE_KAFKA_SSL_KEY, or {_PROTOCOL}"


def why_refused(kafka: KafkaSettings) -> str | None:
    """Ask the broker, for 5 s at most, and give the sentence; None where it is only away."""
    errors: list[KafkaError] = []
    config: dict[str, Any] = {**client_config(kafka), "error_cb": errors.append}
    admin = AdminClient(config)
    deadline = time.monotonic() + _ASKED_FOR_SECONDS
    while time.monotonic() < deadline:
        heard = len(errors)
        try:
            admin.list_topics(timeout=_POLL_SECONDS)
        except KafkaException:
            admin.poll(0)
        else:
            return None
        sentences = (refusal(error, is_first=index == 0) for index, error in enumerate(errors))
        if (sentence := next(filter(None, sentences), None)) is not None:
            return sentence
        if errors and not heard:
            # A connection that failed for another reason may be followed by one that says more.
            deadline = min(deadline, time.monotonic() + _MORE_SECONDS)
    return None


def wrong_settings(error: KafkaException) -> SettingsError:
    """The sentence for settings that no client can be made of."""
    said = error.args[0].str()
    for name, variable in _FILES.items():
        if name in said:
            return SettingsError(
                f"{variable}: the file cannot be used; it has to be there, to be PEM, and a key has to be that of its "
                "certificate"
            )
    return SettingsError(f"no Kafka client can be made of the settings ({said}): see STREAKLINE_KAFKA_…")
