"""That what is written outlives a power cut is the lake's own matter, and its tests'."""

import pytest


@pytest.fixture(autouse=True)
def _without_syncing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.lake.durable.os.fsync", lambda _: None)
