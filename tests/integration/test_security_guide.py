"""Every snippet of docs/security-settings.md, run as it stands there; hosts, files and secrets are the test's own."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from producers.codec import encode
from producers.events import RunCompleted
from producers.kafka import KafkaSettings
from producers.redis.client import connect
from producers.settings import to_environ
from producers.topics import TopicSettings, ensure_topics, partition_counts, topic_names
from tests.clusters import forget_topics, topics_under
from tests.commands import settings_environ, streakline
from tests.documents import blocks
from tests.guarded_redis import GUIDE, guarded_redis
from tests.publishing import publish_to
from tests.secured import PASSWORD, USER, Secured, certificate_broker, password_broker
from tests.workload import Published
from workers.coordination.board import Board, JobProgress

DOCUMENT = GUIDE.read_text()
WITH_PASSWORD, WITH_CERTIFICATE, REDIS = blocks(DOCUMENT, "sh")


@pytest.fixture
def by_password(tmp_path: Path) -> Iterator[Secured]:
    with password_broker(tmp_path / "authority") as place:
        yield place


@pytest.fixture
def by_certificate(tmp_path: Path) -> Iterator[Secured]:
    with certificate_broker(tmp_path / "authority") as place:
        yield place


def here(snippet: str, places: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The variables that the snippet exports, and the words of the command that it ends with."""
    for written, ours in places.items():
        assert written in snippet
        snippet = snippet.replace(written, ours)
    *exports, command = snippet.splitlines()
    found = [re.fullmatch(r"export ([A-Z_]+)=(.+)", line) for line in exports]
    environ = {each[1]: each[2].strip('"') for each in found if each is not None}
    assert len(environ) == len(exports)
    assert command.startswith("streakline ")
    return environ, command.split()[1:]


def makes_topics(environ: dict[str, str], command: list[str], kafka: KafkaSettings) -> bool:
    ended = streakline(*command, environ=environ | to_environ(TopicSettings()))
    return ended.code == 0 and topic_names(TopicSettings()).steps in partition_counts(kafka)


def test_a_user_and_a_password(by_password: Secured) -> None:
    places = {
        "kafka.example:9093": by_password.front.bootstrap,
        "/etc/streakline/ca.pem": str(by_password.authority.ca),
        "=streakline\n": f"={USER}\n",
        "a-long-password": PASSWORD,
    }
    assert makes_topics(*here(WITH_PASSWORD, places), by_password.kafka)


def test_a_certificate(by_certificate: Secured) -> None:
    kafka = by_certificate.kafka
    places = {
        "kafka.example:9094": by_certificate.front.bootstrap,
        "/etc/streakline/ca.pem": str(kafka.kafka_ssl_ca),
        "/etc/streakline/client.pem": str(kafka.kafka_ssl_certificate),
        "/etc/streakline/client.key": str(kafka.kafka_ssl_key),
    }
    assert makes_topics(*here(WITH_CERTIFICATE, places), kafka)


@pytest.fixture
def topics(kafka: KafkaSettings, topic_prefix: str) -> Iterator[TopicSettings]:
    """Under the prefix that the guide's user of Redis is held to."""
    settings = topics_under(f"streakline.{topic_prefix}")
    ensure_topics(kafka, settings)
    yield settings
    forget_topics(kafka, settings.topic_prefix)


def test_the_guides_server_lets_the_guides_client_in(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    with guarded_redis(tmp_path) as server:
        places = {
            "redis.example:6380": f"127.0.0.1:{server.port}",
            "/etc/streakline/ca.pem": str(server.authority.ca),
            "/etc/streakline/client.pem": str(server.client.certificate),
            "/etc/streakline/client.key": str(server.client.key),
        }
        environ, command = here(REDIS, places)
        progress = JobProgress(run_id="sft-7", attempt=0, stage="features", percent=41, eta_seconds=None, worker="w")
        with connect(server.admin_url) as admin:
            Board(admin, topics.topic_prefix).show(progress)
        completed = RunCompleted(run_id="sft-7", ts=1.0, steps=9, base_model="base", checkpoint="checkpoint")
        publish_to(kafka, topic_names(topics).runs, [Published(b"sft-7", encode(completed))])
        ended = streakline(*command, environ={**settings_environ(kafka, topics), **environ})
    assert ended.code == 0
    assert "41" in next(line for line in ended.lines if "sft-7" in line)


def test_the_table_has_every_setting_of_kafkas_that_is_about_safety() -> None:
    names = [field.name for field in msgspec.structs.fields(KafkaSettings)]
    about_safety = {f"STREAKLINE_{name.upper()}" for name in names if re.search(r"_(security|ssl|sasl)_", name)}
    assert set(re.findall(r"^\| `(STREAKLINE_\w+)`", DOCUMENT, re.MULTILINE)) == about_safety
