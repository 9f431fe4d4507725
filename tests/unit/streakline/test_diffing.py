"""What diff workers are started with, and what is done without."""

from pathlib import Path

import pytest

from streakline import diffing
from streakline.diffing import Diffing, DiffingSettings

ANY_PORTS = DiffingSettings(metrics_port=0)
REDIS_URL = "redis://elsewhere:1/0"


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAKE", "MODEL_ROOTS", "REDIS_URL", "SESSION_TIMEOUT_SECONDS"):
        monkeypatch.delenv(f"STREAKLINE_{name}", raising=False)


def opened(folder: Path, settings: DiffingSettings = ANY_PORTS) -> tuple[Diffing, list[str]]:
    said: list[str] = []
    return Diffing(settings, folder, REDIS_URL, say=said.append), said


def test_by_default_models_lie_below_the_current_folder_and_diffs_below_the_stacks(tmp_path: Path) -> None:
    made, said = opened(tmp_path)
    assert made.worker_environ() == {
        "STREAKLINE_MODEL_ROOTS": str(Path.cwd()),
        "STREAKLINE_SESSION_TIMEOUT_SECONDS": "6",
        "STREAKLINE_LAKE": str(tmp_path / "lake"),
        "STREAKLINE_REDIS_URL": REDIS_URL,
    }
    assert said == []


def test_what_the_environment_says_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAKLINE_MODEL_ROOTS", "/models,s3://models")
    monkeypatch.setenv("STREAKLINE_LAKE", "s3://lake/x")
    monkeypatch.setenv("STREAKLINE_REDIS_URL", "redis://not-the-stacks:1/0")
    made, _ = opened(tmp_path)
    environ = made.worker_environ()
    assert environ["STREAKLINE_MODEL_ROOTS"] == "/models,s3://models"
    assert environ["STREAKLINE_LAKE"] == "s3://lake/x"
    assert environ["STREAKLINE_REDIS_URL"] == REDIS_URL


def test_without_a_redis_workers_are_told_of_none(tmp_path: Path) -> None:
    made = Diffing(ANY_PORTS, tmp_path, None, say=print)
    assert "STREAKLINE_REDIS_URL" not in made.worker_environ()


def test_what_is_not_installed_is_said_and_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffing, "missing_for_diffs", lambda: "torch")
    made, said = opened(tmp_path)
    assert made.workers == 0
    assert said == ["no diff worker: torch is not installed: pip install 'streakline[workers]'"]
    _, said = opened(tmp_path, DiffingSettings(workers=0))
    assert said == []


def test_workers_ports_follow_each_other(tmp_path: Path) -> None:
    made, _ = opened(tmp_path, DiffingSettings(metrics_port=9465))
    assert [made.worker_port(index) for index in range(2)] == [9465, 9466]
    assert opened(tmp_path)[0].worker_port(0) > 0
