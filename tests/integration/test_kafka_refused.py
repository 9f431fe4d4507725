"""A broker that lets nobody in with wrong settings: one sentence with the remedy, soon, and no secret in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import replace

from producers.kafka import KafkaSettings
from producers.publisher import StepPublisher
from producers.settings import SettingsError
from producers.topics import TopicsError, TopicSettings, ensure_topics
from streakline.processes import free_port
from tests.certificates import LOOPBACK, Authority, server_tls
from tests.commands import settings_environ, start, streakline
from tests.guarded_broker import Guard, GuardedBroker, guarded_broker
from tests.recordings import RECORDINGS
from tests.secured import PASSWORD, Secured, certificate_broker, password_broker, with_certificate
from tests.worker import wait_until

TOPICS = TopicSettings(partitions=2)
WRONG = "not-the-pa55word"


@pytest.fixture(scope="module")
def by_password(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with password_broker(tmp_path_factory.mktemp("password") / "authority") as place:
        ensure_topics(place.kafka, TOPICS)
        yield place


@pytest.fixture(scope="module")
def by_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with certificate_broker(tmp_path_factory.mktemp("certificate") / "authority") as place:
        yield place


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger") / "authority")


def refused(kafka: KafkaSettings, kind: type[Exception] = TopicsError) -> str:
    """The sentence."""
    with pytest.raises(kind) as caught:
        ensure_topics(kafka, TOPICS, timeout_seconds=0.5)
    said = str(caught.value)
    assert not [secret for secret in (PASSWORD, WRONG) if secret in said]
    return said


class Wrong(Struct, frozen=True):
    """Settings of a client that is not let in, and what it has to be told."""

    changes: dict[str, str | None]
    remedy: str


PASSWORD_CASES = {
    "password": Wrong({"kafka_sasl_password": WRONG}, "STREAKLINE_KAFKA_SASL_PASSWORD"),
    "password, in the clear inside TLS": Wrong(
        {"kafka_sasl_password": WRONG, "kafka_sasl_mechanism": "PLAIN"}, "STREAKLINE_KAFKA_SASL_PASSWORD"
    ),
    "user": Wrong({"kafka_sasl_username": "nobody"}, "STREAKLINE_KAFKA_SASL_USERNAME"),
    "no user at all": Wrong({"kafka_security_protocol": "SSL"}, "STREAKLINE_KAFKA_SECURITY_PROTOCOL"),
    "no TLS": Wrong({"kafka_security_protocol": "SASL_PLAINTEXT"}, "STREAKLINE_KAFKA_SECURITY_PROTOCOL"),
    "neither": Wrong({"kafka_security_protocol": "PLAINTEXT"}, "STREAKLINE_KAFKA_SECURITY_PROTOCOL"),
    "the system's authorities": Wrong({"kafka_ssl_ca": None}, "STREAKLINE_KAFKA_SSL_CA"),
}


@pytest.mark.parametrize("case", PASSWORD_CASES.values(), ids=PASSWORD_CASES)
def test_who_does_not_prove_who_it_is(case: Wrong, by_password: Secured) -> None:
    said = refused(replace(by_password.kafka, **case.changes))
    assert said.startswith(f"the broker at {by_password.front.bootstrap} lets nobody in with these settings: ")
    assert case.remedy in said


def test_a_mechanism_that_the_broker_does_not_have() -> None:
    guard = Guard(passwords={"trainer-7": PASSWORD}, mechanisms=("SCRAM-SHA-256", "SCRAM-SHA-512"))
    with guarded_broker(guard) as front:
        kafka = KafkaSettings(
            kafka_bootstrap=front.bootstrap,
            kafka_security_protocol="SASL_PLAINTEXT",
            kafka_sasl_mechanism="PLAIN",
            kafka_sasl_username="trainer-7",
            kafka_sasl_password=PASSWORD,
        )
        said = refused(kafka)
    assert "the SASL mechanisms SCRAM-SHA-256,SCRAM-SHA-512 only: set STREAKLINE_KAFKA_SASL_MECHANISM" in said


CLIENTS: dict[str, Callable[[Secured, Authority], KafkaSettings]] = {
    "none": lambda place, _: replace(place.kafka, kafka_ssl_certificate=None, kafka_ssl_key=None),
    "of another authority": lambda place, stranger: with_certificate(place.kafka, stranger),
    "expired": lambda place, _: with_certificate(place.kafka, place.authority, is_expired=True),
}


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_a_certificate_that_the_broker_does_not_take(
    client: Callable[[Secured, Authority], KafkaSettings], by_certificate: Secured, stranger: Authority
) -> None:
    assert "STREAKLINE_KAFKA_SSL_CERTIFICATE" in refused(client(by_certificate, stranger))


SERVERS: dict[str, Callable[[Authority, Authority], Guard]] = {
    "of another authority": lambda _, stranger: Guard(tls=server_tls(stranger.issue(*LOOPBACK))),
    "expired": lambda ours, _: Guard(tls=server_tls(ours.issue(*LOOPBACK, is_expired=True))),
    "of another host": lambda ours, _: Guard(tls=server_tls(ours.issue("kafka.example"))),
}


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_a_broker_that_is_not_who_it_has_to_be(
    server: Callable[[Authority, Authority], Guard], stranger: Authority, tmp_path: Path
) -> None:
    ours = Authority(tmp_path / "authority")
    with guarded(server(ours, stranger)) as front:
        kafka = KafkaSettings(kafka_bootstrap=front.bootstrap, kafka_security_protocol="SSL", kafka_ssl_ca=str(ours.ca))
        said = refused(kafka)
    assert "its certificate has expired, is for another host" in said
    assert "STREAKLINE_KAFKA_SSL_CA" in said


def test_tls_to_a_broker_that_has_none(by_password: Secured) -> None:
    with guarded(Guard(passwords={})) as front:
        said = refused(replace(by_password.kafka, kafka_bootstrap=front.bootstrap))
    assert "it speaks no TLS there: set STREAKLINE_KAFKA_SECURITY_PROTOCOL" in said


@pytest.mark.parametrize("setting", ["kafka_ssl_ca", "kafka_ssl_certificate", "kafka_ssl_key"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_is_none(setting: str, content: str | None, by_certificate: Secured, tmp_path: Path) -> None:
    path = tmp_path / "file.pem"
    if content is not None:
        path.write_text(content)
    said = refused(replace(by_certificate.kafka, **{setting: str(path)}), SettingsError)
    assert said.startswith(f"STREAKLINE_{setting.upper()}: ")


def test_a_key_of_another_certificate(by_certificate: Secured) -> None:
    other = with_certificate(by_certificate.kafka, by_certificate.authority)
    said = refused(replace(by_certificate.kafka, kafka_ssl_key=other.kafka_ssl_key), SettingsError)
    assert said.startswith("STREAKLINE_KAFKA_SSL_KEY: ")


def test_a_command_ends_as_one_whose_settings_cannot_be_right(by_certificate: Secured) -> None:
    wrong = replace(by_certificate.kafka, kafka_ssl_ca="/no/such/ca.pem")
    ended = streakline("topics", "ensure", environ=settings_environ(wrong, TOPICS))
    assert ended.code == 2
    assert ended.err.startswith("streakline: STREAKLINE_KAFKA_SSL_CA: the file cannot be used")


COMMANDS = (
    ("topics", "ensure"),
    ("runs",),
    ("signals", "--json"),
    ("dead-letters", "list"),
    ("replay", RECORDINGS[0]),
    ("stream",),
    ("diff-worker",),
    ("archive",),
    ("archive", "--once"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(map(str, command[:2])))
def test_every_command_says_so_and_ends(command: tuple[str | Path, ...], by_password: Secured, tmp_path: Path) -> None:
    wrong = replace(by_password.kafka, kafka_sasl_password=WRONG)
    own = {"STREAKLINE_DATA_DIR": str(tmp_path / "data"), "STREAKLINE_LAKE": str(tmp_path / "lake")}
    process = start(*command, environ=settings_environ(wrong, TOPICS) | own)
    out, err = (stream.decode() for stream in process.communicate(timeout=240))
    assert process.returncode == 3, err
    assert "lets nobody in with these settings: it refuses the user or the password: set STREAKLINE_KAFKA_SASL" in err
    assert "Traceback" not in err
    assert not [secret for secret in (PASSWORD, WRONG) if secret in out + err]


def test_a_trainer_trains_on_and_its_log_says_why_nothing_arrives(
    by_password: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = replace(by_password.kafka, kafka_sasl_password=WRONG)
    with StepPublisher(run_id="sft-7", kafka=wrong, topics=TOPICS, close_timeout_seconds=1.0) as run:
        run.step(0, 1.0)
        wait_until(lambda: "it refuses the user or the password: set STREAKLINE_KAFKA_SASL" in caplog.text)
    assert run.stats.acknowledged == 0
    assert not [secret for secret in (PASSWORD, WRONG) if secret in caplog.text]


def test_no_settings_show_their_password() -> None:
    kafka = KafkaSettings(
        kafka_security_protocol="SASL_SSL", kafka_sasl_username="trainer-7", kafka_sasl_password=PASSWORD
    )
    assert PASSWORD not in f"{kafka} {kafka!r}"
    assert "trainer-7" in repr(kafka)


def guarded(guard: Guard) -> GuardedBroker:
    """With nothing behind it: nobody gets that far."""
    return GuardedBroker(free_port(), free_port(), guard)
