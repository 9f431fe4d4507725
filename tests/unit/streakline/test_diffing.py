"""What diff workers and Redis are started with, and what is done without."""

import socket
from pathlib import Path

import pytest

from streakline import diffing
from streakline.diffing import Diffing, DiffingSettings
from streakline.redis_server import RedisServerError

ANY_PORTS = DiffingSettings(metrics_port=0, redis_port=0)


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAKE", "MODEL_ROOTS", "REDIS_URL", "SESSION_TIMEOUT_SECONDS"):
        monkeypatch.delenv(f"STREAKLINE_{name}", raising=False)


def opened(folder: Path, settings: DiffingSettings = ANY_PORTS) -> tuple[Diffing, list[str]]:
    said: list[str] = []
    return Diffing(settings, folder, say=said.append), said


def test_by_default_models_lie_below_the_current_folder_and_diffs_below_the_stacks(tmp_path: Path) -> None:
    made, said = opened(tmp_path)
    assert made.redis is not None
    assert made.worker_environ() == {
        "STREAKLINE_MODEL_ROOTS": str(Path.cwd()),
        "STREAKLINE_SESSION_TIMEOUT_SECONDS": "6",
        "STREAKLINE_LAKE": str(tmp_path / "lake"),
        "STREAKLINE_REDIS_URL": made.redis.url,
    }
    assert said == []


def test_what_the_environment_says_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAKLINE_MODEL_ROOTS", "/models,s3://models")
    monkeypatch.setenv("STREAKLINE_LAKE", "s3://lake/x")
    made, _ = opened(tmp_path, DiffingSettings(redis_url="redis://elsewhere:1/0"))
    environ = made.worker_environ()
    assert made.redis is None
    assert environ["STREAKLINE_MODEL_ROOTS"] == "/models,s3://models"
    assert environ["STREAKLINE_LAKE"] == "s3://lake/x"
    assert environ["STREAKLINE_REDIS_URL"] == "redis://elsewhere:1/0"


def test_a_port_that_is_taken_is_left_to_whoever_has_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        made, said = opened(tmp_path, DiffingSettings(redis_port=port))
    assert made.redis is not None
    assert said == [f"port {port} is taken: redis listens on {made.redis.port}"]


def test_what_is_not_installed_is_said_and_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(port: int) -> list[str]:
        raise RedisServerError(f"none for port {port > 0}: install it")

    monkeypatch.setattr(diffing, "redis_command", refused)
    monkeypatch.setattr(diffing, "missing_for_diffs", lambda: "torch")
    made, said = opened(tmp_path)
    assert (made.redis, made.workers) == (None, 0)
    assert "STREAKLINE_REDIS_URL" not in made.worker_environ()
    assert said == [
        "no Redis, so progress of diffs is not shown: none for port True: install it",
        "no diff worker: torch is not installed: pip install 'streakline[workers]'",
    ]
    _, said = opened(tmp_path, DiffingSettings(workers=0, redis_url="redis://elsewhere:1/0"))
    assert said == []


def test_workers_ports_follow_each_other(tmp_path: Path) -> None:
    made, _ = opened(tmp_path, DiffingSettings(metrics_port=9465, redis_port=0))
    assert [made.worker_port(index) for index in range(2)] == [9465, 9466]
    assert opened(tmp_path)[0].worker_port(0) > 0
