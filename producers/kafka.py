"""The one builder of Kafka client settings, from ``STREAKLINE_KAFKA_…``."""

from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import asdict

from producers.settings import Secret

Compression = Literal["none", "gzip", "lz4", "zstd"]
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

MAX_RECORD_BYTES = 2 << 20

ClientConfig = dict[str, str | int | float | bool]


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """How to reach the broker; each field is the environment variable ``STREAKLINE_<FIELD>``.

    Raises ValueError where SASL is asked for without a user and a password.
    """

    kafka_bootstrap: Annotated[str, Meta(min_length=1)] = "127.0.0.1:9092"
    """``host:port``, several separated by commas"""
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_ssl_ca: str | None = None
    """file of the certificate authority (PEM); unset: the system's"""
    kafka_ssl_certificate: str | None = None
    """file of the client's certificate (PEM)"""
    kafka_ssl_key: str | None = None
    kafka_sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: Secret | None = None
    kafka_compression: Compression = "zstd"

    def __post_init__(self) -> None:
        if self.uses_sasl and not (self.kafka_sasl_username and self.kafka_sasl_password):
            raise ValueError(
                f"{self.kafka_security_protocol} needs a user and a password: "
                "set STREAKLINE_KAFKA_SASL_USERNAME and STREAKLINE_KAFKA_SASL_PASSWORD"
            )

    def __repr__(self) -> str:
        # What is logged, asserted or raised shows no secret.
        shown = asdict(self) | ({} if self.kafka_sasl_password is None else {"kafka_sasl_password": "…"})
        return f"KafkaSettings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def uses_sasl(self) -> bool:
        """Whether the client has to name itself."""
        return self.kafka_security_protocol.startswith("SASL")

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.kafka_security_protocol.endswith("SSL")


def client_config(settings: KafkaSettings) -> ClientConfig:
    """What every librdkafka client needs: where the broker is and how to be let in."""
    config: ClientConfig = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "security.protocol": settings.kafka_security_protocol,
        "client.id": "streakline",
        # A broker that is away is reported by the call that needs it, in one sentence, not by librdkafka's log.
        "log_level": 0,
    }
    tls = {
        "ssl.ca.location": settings.kafka_ssl_ca,
        "ssl.certificate.location": settings.kafka_ssl_certificate,
        "ssl.key.location": settings.kafka_ssl_key,
    }
    if settings.uses_tls:
        config |= {name: path for name, path in tls.items() if path is not None}
    if settings.uses_sasl:
        config |= {
            "sasl.mechanism": settings.kafka_sasl_mechanism,
            "sasl.username": settings.kafka_sasl_username or "",
            "sasl.password": settings.kafka_sasl_password or "",
        }
    return config


def producer_config(settings: KafkaSettings) -> ClientConfig:
    """An idempotent producer that puts a key where Java and aiokafka would put it."""
    return client_config(settings) | {
        # Not the default, and without it a broker may reorder one key's records.
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "compression.type": settings.kafka_compression,
        "linger.ms": 5,
        # Of the topics as well; librdkafka's default is less than the 1 MiB of an event.
        "message.max.bytes": MAX_RECORD_BYTES,
    }


def reader_config(settings: KafkaSettings) -> ClientConfig:
    """A consumer that reads partitions it assigns itself and commits nothing."""
    return client_config(settings) | {
        # librdkafka wants a group even where none is joined.
        "group.id": "streakline-reader",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        # The default of 500 ms costs 235 ms a read on a broker that does not wake a waiting fetch.
        "fetch.wait.max.ms": 20,
    }


def group_config(settings: KafkaSettings, group: str, *, session_timeout_seconds: float) -> ClientConfig:
    """A member of a consumer group that says itself when a record is done with."""
    return client_config(settings) | {
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": int(session_timeout_seconds * 1000),
        "heartbeat.interval.ms": int(session_timeout_seconds * 1000 / 6),
        "max.poll.interval.ms": max(300_000, int(session_timeout_seconds * 1000)),
        "fetch.wait.max.ms": 20,
    }
