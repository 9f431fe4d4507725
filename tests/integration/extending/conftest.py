"""The example package, installed for as long as a test runs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.extra_package import install
from workers.behaviour import scorers


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is installed; on nobody's path yet."""
    return install(tmp_path_factory.mktemp("extra"))


@pytest.fixture
def extra(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installed for this process and its children."""
    monkeypatch.syspath_prepend(site)
    ours = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", str(site) if ours is None else f"{site}{os.pathsep}{ours}")
    scorers._installed.cache_clear()
    yield
    scorers._installed.cache_clear()
