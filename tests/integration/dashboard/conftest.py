"""A real Redis server, keys of a test's own, and a dashboard on both."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from streakline.redis_server import running_redis
from tests.asked_lake import write_asked_lake
from tests.dashboard import Dashboard, running_dashboard
from tests.live_writing import LiveWriter


@pytest.fixture(scope="package")
def redis_url() -> Iterator[str]:
    """Of a real server that lives as long as this package's tests."""
    with running_redis() as url:
        yield url


@pytest.fixture(scope="package")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of which everything is known; nobody writes to it."""
    root = tmp_path_factory.mktemp("lake")
    write_asked_lake(root)
    return root


@pytest.fixture
def prefix() -> str:
    """Of keys of this test alone; with signs that mean something in a pattern."""
    return f"test-[{uuid.uuid4().hex[:8]}]*."


@pytest.fixture
def writer(redis_url: str, prefix: str) -> LiveWriter:
    return LiveWriter(redis_url, prefix)


@pytest.fixture
def dashboard(redis_url: str, lake: Path, prefix: str) -> Iterator[Dashboard]:
    with running_dashboard(redis_url, lake, prefix) as running:
        yield running
