"""What the archiver of a local stack is started with."""

from pathlib import Path

import pytest

from streakline import archiving
from streakline.archiving import Archiving, ArchivingSettings


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAKE", "ARCHIVE_SECONDS", "SESSION_TIMEOUT_SECONDS"):
        monkeypatch.delenv(f"STREAKLINE_{name}", raising=False)


def opened(folder: Path, settings: ArchivingSettings | None = None) -> tuple[Archiving, list[str]]:
    said: list[str] = []
    return Archiving(settings or ArchivingSettings(metrics_port=0), folder, say=said.append), said


def test_by_default_files_come_often_and_lie_below_the_stacks_folder(tmp_path: Path) -> None:
    made, said = opened(tmp_path)
    assert made.environ() == {
        "STREAKLINE_ARCHIVE_SECONDS": "10",
        "STREAKLINE_SESSION_TIMEOUT_SECONDS": "6",
        "STREAKLINE_LAKE": str(tmp_path / "lake"),
    }
    assert (made.is_possible, said) == (True, [])


def test_what_the_environment_says_stands_and_what_is_given_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAKLINE_ARCHIVE_SECONDS", "60")
    monkeypatch.setenv("STREAKLINE_LAKE", "s3://lake/x")
    assert opened(tmp_path)[0].environ()["STREAKLINE_ARCHIVE_SECONDS"] == "60"
    assert opened(tmp_path)[0].lake == "s3://lake/x"
    given = {"STREAKLINE_LAKE": str(tmp_path / "own"), "STREAKLINE_ARCHIVE_SECONDS": "2"}
    made, _ = opened(tmp_path, ArchivingSettings(metrics_port=0, worker_environ=given))
    assert made.environ() == {**given, "STREAKLINE_SESSION_TIMEOUT_SECONDS": "6"}


def test_a_port_is_the_one_that_is_asked_for_or_any_free_one(tmp_path: Path) -> None:
    assert opened(tmp_path, ArchivingSettings(metrics_port=9466))[0].port() == 9466
    assert opened(tmp_path)[0].port() > 0


def test_what_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "missing_for_archive", lambda: "pyarrow")
    made, said = opened(tmp_path)
    assert not made.is_possible
    assert said == ["no archiver: pyarrow is not installed: pip install 'streakline[workers]'"]
