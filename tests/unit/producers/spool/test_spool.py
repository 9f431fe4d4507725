"""A spool is a list on disk: appended to, read, acknowledged, and there again after a crash."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from producers.spool.folder import Folder, Owner, folders
from producers.spool.record import Record, Topic, pack
from producers.spool.spool import SEGMENT_BYTES, Spool, Spooled, SpoolFull

OWNER = Owner(run_id="run", bootstrap="127.0.0.1:1", steps="steps", runs="runs")
records = st.builds(
    lambda topics, size, mark: Record(topics, bytes([97 + mark]) * size),
    st.sampled_from([Topic.STEPS, Topic.RUNS, Topic.BOTH]),
    # Several make a segment full.
    st.sampled_from([1, 100, SEGMENT_BYTES // 3]),
    st.integers(0, 25),
)
MAX_BYTES = 5 * SEGMENT_BYTES


class AsAList(RuleBasedStateMachine):
    """The spool beside what it ought to be."""

    def __init__(self) -> None:
        super().__init__()
        self._root = TemporaryDirectory()
        self.folder = Folder.create(Path(self._root.name), OWNER)
        self.is_owner = True
        self.left: list[Record] = []
        """not acknowledged"""
        self.read: list[Spooled] = []
        """of those, the ones that were read"""

    @initialize()
    def begin(self) -> None:
        self.spool = Spool(self.folder, max_bytes=MAX_BYTES)

    @precondition(lambda self: self.is_owner)
    @rule(batch=st.lists(records, min_size=1, max_size=4))
    def append(self, batch: list[Record]) -> None:
        before = self.spool.size_bytes
        if before + sum(len(pack(record)) for record in batch) > MAX_BYTES:
            with pytest.raises(SpoolFull):
                self.spool.append(batch)
            assert self.spool.size_bytes == before
        else:
            self.spool.append(batch)
            self.left += batch

    @rule(count=st.integers(1, 6))
    def read_some(self, count: int) -> None:
        for _ in range(count):
            spooled = self.spool.read()
            wanted = self.left[len(self.read) : len(self.read) + 1]
            assert ([] if spooled is None else [spooled.record]) == wanted
            if spooled is not None:
                self.read.append(spooled)

    @precondition(lambda self: self.read)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, len(self.read)))
        self.spool.acknowledge(self.read[count - 1].end)
        del self.read[:count], self.left[:count]

    @rule()
    def crash(self) -> None:
        """Somebody else opens what a dead process left; that one never appends."""
        self.folder.close()
        adopted = Folder.adopt(self.folder.path)
        assert adopted is not None
        self.folder, self.is_owner, self.read = adopted, False, []
        self.spool = Spool(self.folder, max_bytes=0)

    @invariant()
    def it_knows_when_it_is_done(self) -> None:
        assert self.spool.is_drained == (not self.left)

    @invariant()
    def it_is_bounded(self) -> None:
        sizes = [file.stat().st_size for file in self.folder.path.glob("*.events")]
        assert sum(sizes) <= MAX_BYTES
        waiting = sum(len(pack(record)) for record in self.left)
        # Beside the file that is written, one that is partly acknowledged.
        assert sum(sizes) <= waiting + 2 * (SEGMENT_BYTES + 4 * (SEGMENT_BYTES // 3 + 10))

    def teardown(self) -> None:
        self.spool.close()
        assert self.folder.path.exists() == bool(self.left)
        self._root.cleanup()


AsAList.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestAsAList = AsAList.TestCase


def numbered(count: int) -> list[Record]:
    return [Record(Topic.STEPS, b'{"step":%d}' % number) for number in range(count)]


def everything(spool: Spool) -> list[Record]:
    found = []
    while (spooled := spool.read()) is not None:
        found.append(spooled.record)
    return found


def left_behind(root: Path, wanted: list[Record]) -> Path:
    """The folder of a dead process that appended them one by one."""
    folder = Folder.create(root, OWNER)
    spool = Spool(folder, max_bytes=1 << 20)
    for record in wanted:
        spool.append([record])
    spool.close()
    return folder.path


def adopted(path: Path) -> Spool:
    folder = Folder.adopt(path)
    assert folder is not None
    return Spool(folder, max_bytes=0)


def test_a_file_torn_at_any_byte_loses_the_torn_record_alone(tmp_path: Path) -> None:
    wanted = numbered(6)
    path = left_behind(tmp_path, wanted)
    (file,) = path.glob("*.events")
    raw, size = file.read_bytes(), len(pack(wanted[0]))
    for cut in range(len(raw)):
        file.write_bytes(raw[:cut])
        spool = adopted(path)
        assert everything(spool) == wanted[: cut // size]
        assert spool.is_drained == (cut < size), "nobody waits for what is torn"
        spool.folder.close()


def test_a_mark_that_is_damaged_means_the_beginning(tmp_path: Path) -> None:
    wanted = numbered(6)
    path = left_behind(tmp_path, wanted)
    spool = adopted(path)
    for _ in range(3):
        last = spool.read()
    assert last is not None
    spool.acknowledge(last.end)
    spool.close()
    mark = path / "acknowledged"
    raw = mark.read_bytes()
    spool = adopted(path)
    assert everything(spool) == wanted[3:]
    spool.folder.close()
    for place in range(len(raw)):
        mark.write_bytes(raw[:place] + bytes([raw[place] ^ 0xFF]) + raw[place + 1 :])
        spool = adopted(path)
        assert everything(spool) == wanted, "twice is better than never"
        spool.folder.close()


def test_files_go_as_they_arrive(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path, OWNER)
    spool = Spool(folder, max_bytes=1 << 30)
    for number in range(12):
        spool.append([Record(Topic.STEPS, bytes([97 + number]) * (SEGMENT_BYTES // 2))])
    counts = []
    while (spooled := spool.read()) is not None:
        spool.acknowledge(spooled.end)
        counts.append(len(list(folder.path.glob("*.events"))))
    assert counts == [6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
    spool.close()
    assert list(folders(tmp_path)) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 256 KiB, where one may be made."""
    path = tmp_path / "disk"
    path.mkdir()
    options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)]
    if os.geteuid() or subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
        pytest.skip("no small file system can be mounted to be filled: run it as root")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_disk_that_is_full_takes_all_or_nothing(small_disk: Path) -> None:
    folder = Folder.create(small_disk, OWNER)
    spool = Spool(folder, max_bytes=1 << 30)
    wanted: list[Record] = []
    batch = [Record(Topic.STEPS, b"x" * 10_000), Record(Topic.BOTH, b"y" * 3_000)]
    full = None
    while full is None:
        try:
            spool.append(batch)
            wanted += batch
        except OSError as error:
            full = error
    assert full.errno == errno.ENOSPC
    assert len(wanted) > 10
    names = sorted(folder.path.iterdir())
    for _ in range(50):
        with pytest.raises(OSError, match="No space left"):
            spool.append(batch)
    assert sorted(folder.path.iterdir()) == names, "no empty files are collected"
    spool.append([small := Record(Topic.RUNS, b"z")])
    assert everything(spool) == [*wanted, small]
    spool.folder.close()
    assert everything(adopted(folder.path)) == [*wanted, small]


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from producers.spool.folder import Folder
from producers.spool.spool import Spool
from tests.unit.producers.spool.test_spool import OWNER, numbered
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Folder.create(Path(sys.argv[1]), OWNER)
spool = Spool(folder, max_bytes=1 << 30)
spool.append(numbered(50))
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
for _ in range(20):
    try:
        spool.append(numbered(100))
    except OSError as error:
        print(error)
spool.append(numbered(3))
spool.folder.close()
"""


def test_a_file_that_may_not_grow_is_cut_back(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _LIMITED, str(tmp_path)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert len(ended.stdout.splitlines()) == 20
    (path,) = folders(tmp_path)
    assert everything(adopted(path)) == numbered(50) + numbered(3)
    assert len(list(path.glob("*.events"))) == 2


def test_the_room_that_others_need_is_left(tmp_path: Path) -> None:
    spool = Spool(Folder.create(tmp_path, OWNER), max_bytes=1 << 20, min_free_bytes=1 << 62)
    with pytest.raises(SpoolFull, match="are not ours"):
        spool.append(numbered(1))
    assert spool.is_drained
    spool.close()


def test_nothing_is_written_without_room_for_it(tmp_path: Path) -> None:
    spool = Spool(Folder.create(tmp_path, OWNER), max_bytes=100)
    spool.append(numbered(5))
    with pytest.raises(SpoolFull, match="holds the 100 bytes it may"):
        spool.append(numbered(1))
    assert everything(spool) == numbered(5)
    spool.close()
