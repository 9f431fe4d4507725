"""A real Redis server for the tests of the diff workers."""

import uuid
from collections.abc import Iterator

import pytest

from streakline.redis_server import running_redis


@pytest.fixture(scope="package")
def redis_url() -> Iterator[str]:
    """Of a real server that lives as long as this package's tests."""
    with running_redis() as url:
        yield url


@pytest.fixture
def prefix() -> str:
    """Of keys of this test alone."""
    return f"test-{uuid.uuid4().hex[:8]}."
