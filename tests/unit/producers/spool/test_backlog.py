"""A backlog goes on in memory where the disk takes no more, in order, and within its bound."""

from pathlib import Path

from producers.spool.backlog import MEMORY_BYTES, RESERVED_BYTES, Backlog
from producers.spool.folder import Folder, Owner
from producers.spool.record import Record, Topic
from producers.spool.spool import Spool

OWNER = Owner(run_id="run", bootstrap="127.0.0.1:1", steps="steps", runs="runs")


def numbered(begin: int, end: int) -> list[Record]:
    return [Record(Topic.STEPS, b"%03d" % number) for number in range(begin, end)]


def spool(root: Path, max_bytes: int) -> Spool:
    return Spool(Folder.create(root, OWNER), max_bytes=max_bytes)


def read(backlog: Backlog) -> list[Record]:
    found = []
    while (kept := backlog.read()) is not None:
        found.append(kept.record)
    return found


def test_memory_is_younger_than_the_disk_until_it_has_arrived(tmp_path: Path) -> None:
    said: list[str] = []
    backlog = Backlog(spool(tmp_path, max_bytes=10 * 13), said.append)
    for number in range(30):
        assert backlog.append(numbered(number, number + 1)) == 1
    assert backlog.count_in_memory() == 20
    assert len(said) == 1
    for number in range(30):
        kept = backlog.read()
        assert kept is not None
        assert kept.record.raw == b"%03d" % number
        assert not backlog.is_drained
        backlog.acknowledge(kept)
    assert backlog.is_drained
    assert backlog.read() is None
    backlog.close()


def test_only_a_part_that_was_read_is_acknowledged_in_memory() -> None:
    backlog = Backlog(None, lambda _: None)
    backlog.append(numbered(0, 5))
    first = backlog.read()
    assert first is not None
    assert read(backlog) == numbered(1, 5)
    backlog.acknowledge(first)
    backlog.append(numbered(5, 7))
    assert read(backlog) == numbered(5, 7)
    assert backlog.count_in_memory() == 6


def test_memory_has_a_bound_and_a_reserve() -> None:
    backlog = Backlog(None, lambda _: None)
    half = Record(Topic.STEPS, b"x" * (MEMORY_BYTES // 2 - RESERVED_BYTES // 2))
    assert backlog.append([half, half, half]) == 2
    assert backlog.append(numbered(0, 1)) == 0
    end = Record(Topic.BOTH, b"x" * RESERVED_BYTES)
    assert backlog.append([end], is_essential=True) == 1
    assert backlog.append([end], is_essential=True) == 0
    assert backlog.count_in_memory() == 4, "a lifecycle event is two records"


def test_files_that_are_gone_are_told_of_and_nothing_is_raised(tmp_path: Path) -> None:
    said: list[str] = []
    backlog = Backlog(spool(tmp_path, max_bytes=1 << 20), said.append)
    backlog.append(numbered(0, 2))
    backlog.append(numbered(2, 4))
    # What was just written need not be read back; what came while it waited has to be.
    assert backlog.read() is not None
    assert backlog.read() is not None
    for file in tmp_path.glob("*/*.events"):
        file.unlink()
    assert backlog.read() is None
    assert backlog.is_unreadable
    assert "cannot be read (No such file or directory)" in said[0]
    backlog.close()
