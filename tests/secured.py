"""A place where nobody gets in without the right settings: its broker, its authority, and settings for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from producers.kafka import KafkaSettings
from tests.certificates import LOOPBACK, Authority, server_tls
from tests.guarded_broker import Guard, GuardedBroker, guarded_broker

USER = "trainer-7"
# What a careless string would trip over: a comma and an equals sign are SCRAM's own, the rest a URL's and a shell's.
PASSWORD = "s3cret,=2C/%40:$word"


class Secured(Struct, frozen=True):
    """A broker that demands TLS and one of two proofs: a user's password, or a client's certificate."""

    front: GuardedBroker
    authority: Authority
    kafka: KafkaSettings
    """those that are let in"""


@contextmanager
def password_broker(folder: Path) -> Iterator[Secured]:
    """TLS, and SASL with all mechanisms."""
    authority = Authority(folder)
    guard = Guard(tls=server_tls(authority.issue(*LOOPBACK)), passwords={USER: PASSWORD})
    with guarded_broker(guard) as front:
        kafka = KafkaSettings(
            kafka_bootstrap=front.bootstrap,
            kafka_security_protocol="SASL_SSL",
            kafka_ssl_ca=str(authority.ca),
            kafka_sasl_username=USER,
            kafka_sasl_password=PASSWORD,
        )
        yield Secured(front, authority, kafka)


@contextmanager
def certificate_broker(folder: Path) -> Iterator[Secured]:
    """TLS, for clients that have a certificate of the same authority."""
    authority = Authority(folder)
    with guarded_broker(Guard(tls=server_tls(authority.issue(*LOOPBACK), clients_of=authority))) as front:
        trusting = KafkaSettings(
            kafka_bootstrap=front.bootstrap, kafka_security_protocol="SSL", kafka_ssl_ca=str(authority.ca)
        )
        yield Secured(front, authority, with_certificate(trusting, authority))


@contextmanager
def clear_broker() -> Iterator[KafkaSettings]:
    """SASL without TLS; gives the settings that are let in."""
    with guarded_broker(Guard(passwords={USER: PASSWORD})) as front:
        yield KafkaSettings(
            kafka_bootstrap=front.bootstrap,
            kafka_security_protocol="SASL_PLAINTEXT",
            kafka_sasl_username=USER,
            kafka_sasl_password=PASSWORD,
        )


def with_certificate(kafka: KafkaSettings, authority: Authority, *, is_expired: bool = False) -> KafkaSettings:
    """The settings, with a client's certificate of `authority`."""
    pair = authority.issue("trainer.example", is_expired=is_expired)
    return replace(kafka, kafka_ssl_certificate=str(pair.certificate), kafka_ssl_key=str(pair.key))
