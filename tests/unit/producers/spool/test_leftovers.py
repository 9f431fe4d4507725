"""What dead publishers left: whatever stands in a folder, it is skipped with a sentence or delivered."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from producers.delivery import Link
from producers.kafka import KafkaSettings
from producers.leftovers import Delivered, Heir, leftovers
from producers.spool.folder import Folder, Owner
from producers.spool.record import Record, Topic
from producers.spool.spool import Spool
from streakline.processes import free_port

OWNER = Owner(run_id="run", bootstrap="127.0.0.1:1", steps="steps", runs="runs")


def left_behind(root: Path) -> Path:
    folder = Folder.create(root, OWNER)
    spool = Spool(folder, max_bytes=1 << 20)
    spool.append([Record(Topic.STEPS, b"{}")])
    spool.close()
    return folder.path


def replaced(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink()
    make(path)


def link_to_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


HOSTILE: dict[str, Callable[[Path], None]] = {"a pipe": os.mkfifo, "a folder": Path.mkdir, "a link": link_to_zeros}


def inherited(paths: list[Path]) -> tuple[bool, list[Delivered], list[str]]:
    """Whether an heir without a broker was done, and what it said."""
    said: list[str] = []
    delivered: list[Delivered] = []
    link = Link(KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}"), lambda _: None)
    heir = Heir(paths, link, delivered.append, said.append)
    try:
        return heir.pump(), delivered, said
    finally:
        heir.close()
        link.close()


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", ["owner.json", "lock", "000000000001.events", "acknowledged"])
def test_what_is_no_file_is_told_of_and_skipped(tmp_path: Path, name: str, kind: str) -> None:
    path = left_behind(tmp_path)
    (path / "acknowledged").touch()
    replaced(path / name, HOSTILE[kind])
    said: list[str] = []
    found = leftovers(tmp_path, on_problem=said.append)
    assert (len(found), len(said)) == ((0, 1) if name == "owner.json" else (1, 0))
    for _ in range(2):
        is_done, delivered, told = inherited([path])
        assert is_done, "it holds nothing else up"
        assert delivered == []
        assert len(told) == 1
        assert str(path) in told[0]
    assert path.exists()


def test_what_cannot_be_read_holds_nothing_up(tmp_path: Path) -> None:
    broken, empty = left_behind(tmp_path), Folder.create(tmp_path, OWNER)
    empty.close()
    # It is there until it is opened.
    link = Link(KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}"), lambda _: None)
    said: list[str] = []
    delivered: list[Delivered] = []
    heir = Heir([broken, empty.path], link, delivered.append, said.append)
    adopt = heir._adopt

    def adopt_and_lose(path: Path) -> object:
        estate = adopt(path)
        for file in path.glob("*.events"):
            file.unlink()
        return estate

    heir._adopt = adopt_and_lose  # type: ignore[method-assign, assignment]
    assert heir.pump()
    assert len(said) == 1
    assert "cannot be read" in said[0]
    assert [each.records for each in delivered] == [0], "the one behind it was looked at"
    link.close()


def test_names_that_are_none_of_ours(tmp_path: Path) -> None:
    path = left_behind(tmp_path)
    (tmp_path / "a file").touch()
    (tmp_path / "a folder").mkdir()
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / "a link").symlink_to(path)
    os.mkfifo(tmp_path / "a pipe")
    for name in ("1.events", "x.events", "00000000000a.events", "\uff1000000000001.events"):
        (path / name).write_bytes(b"garbage")
    said: list[str] = []
    assert [left.path for left in leftovers(tmp_path, on_problem=said.append)] == [path]
    assert said == []
    assert list(leftovers(tmp_path / "a file")) == []


def test_a_folder_of_the_living_is_passed_over(tmp_path: Path) -> None:
    alive = Folder.create(tmp_path, OWNER)
    assert inherited([alive.path, tmp_path / "gone"]) == (True, [], [])
    alive.close()
