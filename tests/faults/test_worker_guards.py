"""Each guard of the diff workers and the archive, taken away on purpose: what it is there for then goes wrong.

The same scenario is right with the guard. None of it rests on luck: what is killed is killed at a point.
"""

import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, topic_names
from streakline.redis_server import running_redis
from tests.diff_pool import Pool, diff_settings, files_in, reader
from tests.faults.archive_judged import judged
from tests.faults.archive_stage import publish_some
from tests.faults.cases import Place
from tests.faults.diff_stage import jobs, models, undisturbed
from tests.faults.power_cut import Disk
from workers.archive.archiver import Archiver
from workers.archive.held import Held
from workers.archive.metrics import ArchiveMetrics
from workers.base_cache import BaseCache
from workers.diff import DiffMaker
from workers.errors import DiffCancelled
from workers.jobs import DiffJob
from workers.lake import durable
from workers.lake.writer import Lake
from workers.progress import Stage, silent
from workers.settings import ArchiveSettings

JOB = 0


@pytest.fixture
def pool(broker: str, tmp_path: Path) -> Iterator[Pool]:
    with running_redis() as url:
        pool = Pool(broker, url, models(), tmp_path, partitions=1, lease_seconds=1.0, session_timeout_seconds=2.0)
        yield pool
        pool.close()


@pytest.mark.parametrize("without", [None, "fencing"])
def test_a_lease_without_fencing_lets_a_late_worker_write(pool: Pool, without: str | None) -> None:
    lake = pool.folder / "lake"
    late = pool.start(lake, "halfway through model_diff", number=signal.SIGSTOP, digits=1e-6, without=without)
    pool.complete(jobs()[JOB])
    pool.wait_until(lambda: any(kind == "killed" for kind, *_ in pool.notes(lake)), lake)
    pool.start(lake, digits=2e-6)
    pool.wait_until(lambda: pool.is_done(1), lake)
    written = files_in(lake)
    late.send_signal(signal.SIGCONT)
    pool.wait_until(lambda: ended(lake), lake)
    assert (files_in(lake) == written) == (without is None)


def ended(lake: Path) -> bool:
    """Whether the late worker has given its diff up, or finished it as well as the other one."""
    said = lake.with_suffix(".log").read_text()
    return "is handed back" in said or said.count(" took ") == 2


@pytest.mark.parametrize("without", [None, "commit last"])
def test_an_offset_that_is_committed_before_the_result_is_there_loses_a_run(pool: Pool, without: str | None) -> None:
    lake = pool.folder / "lake"
    killed = pool.start(lake, "halfway through sae_feature_diff", without=without)
    pool.complete(jobs()[JOB])
    pool.wait_until(lambda: killed.exit_status is not None, lake)
    pool.start(lake)
    # The next run is done with only after the first one is, or was lost.
    pool.complete(jobs()[JOB + 1])
    pool.wait_until(lambda: pool.is_done(2), lake)
    told = {event.run_id for event in pool.diffs()}
    assert (jobs()[JOB].run_id in told) == (without is None)


def runs_first(maker: DiffMaker, common: Any, run: Any, compared: Any, progress: Any) -> None:
    """`DiffMaker._write` with its tables the other way round."""
    maker._lake.write("runs", [run], common)
    for table, rows in compared.tables.items():
        maker._lake.write(table, rows, common, lambda: progress("writing", 0.99))


@pytest.mark.parametrize("write", [DiffMaker._write, runs_first])
def test_a_run_whose_row_is_not_written_last_is_shown_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., None]
) -> None:
    monkeypatch.setattr(DiffMaker, "_write", write)
    expected = undisturbed()
    files = 0

    def progress(stage: Stage, done: float, /) -> None:
        nonlocal files
        files += stage == "writing"
        if files > 3:
            raise DiffCancelled

    with pytest.raises(DiffCancelled):
        make(tmp_path / "lake", jobs()[JOB], progress)
    look = reader(tmp_path / "lake", expected)
    if write is runs_first:
        with pytest.raises(AssertionError, match="is told of, and has nothing in"):
            look()
    else:
        look()


def make(lake: Path, job: DiffJob, progress: Callable[[Stage, float], None] = silent) -> None:
    """As a worker makes it."""
    settings = diff_settings(models(), lake)
    DiffMaker(settings, cache=BaseCache(Lake(settings.lake), None, None))(job, progress)


def _no_fsync(_: int) -> None:
    pass


def _only_of_folders(descriptor: int) -> None:
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.fsync(descriptor)


def _only_of_files(descriptor: int) -> None:
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.fsync(descriptor)


class _Os:
    """`os`, with another `fsync`."""

    def __init__(self, fsync: Callable[[int], None]) -> None:
        self.fsync = fsync

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@pytest.mark.parametrize("fsync", [None, _no_fsync, _only_of_folders, _only_of_files])
def test_what_is_not_fsynced_is_gone_or_half_written_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: Callable[[int], None] | None
) -> None:
    monkeypatch.setattr(durable, "_durable", set())
    disk, expected = Disk(), undisturbed()
    with disk.watched():
        if fsync is not None:
            monkeypatch.setattr(durable, "os", _Os(fsync))
        make(tmp_path / "lake", jobs()[JOB])
    disk.after_the_cut(tmp_path, tmp_path / "left")
    own = {name: data for name, data in files_in(expected.lake).items() if f"/{jobs()[JOB].run_id}-" in name}
    lake = tmp_path / "left" / "lake"
    left = files_in(lake) if lake.exists() else {}
    assert (left == own) == (fsync is None)


@pytest.mark.parametrize("knows_it", [False, True])
def test_a_folder_whose_maker_was_killed_is_made_durable_by_who_writes_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knows_it: bool
) -> None:
    """Where the next writer takes it for durable because it is there, its file goes with the folder."""
    folder = tmp_path / "runs" / "v=1"
    folder.mkdir(parents=True)
    monkeypatch.setattr(durable, "_durable", {folder} if knows_it else set())
    disk = Disk()
    with disk.watched():
        durable.replace(folder / "a", b"whole")
    disk.after_the_cut(tmp_path, tmp_path / "left")
    assert (tmp_path / "left" / "runs" / "v=1" / "a").exists() == (not knows_it)


def marker_first(held: Held) -> Iterator[tuple[str, bytes]]:
    """`Held.files` with its files the other way round."""
    return reversed(list(_files(held)))


_files = Held.files


class _Dies(Exception):
    pass


class _Mortal(Lake):
    """Its process dies when it is to write the life of runs that is on the steps topic: not the marker of that one."""

    def write_bytes(self, relative_path: str, data: bytes, confirm: Callable[[], None] = durable.unconfirmed) -> str:
        if relative_path.startswith("run_events/") and ".steps-" in relative_path:
            raise _Dies
        return super().write_bytes(relative_path, data, confirm)


@pytest.mark.parametrize("files", [Held.files, marker_first])
def test_a_range_whose_marker_is_not_written_last_is_archived_in_part(
    kafka: KafkaSettings,
    topics: TopicSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: Callable[[Held], Iterator[tuple[str, bytes]]],
) -> None:
    place = Place(kafka, topics, tmp_path)
    publish_some(place)
    settings, lake = ArchiveSettings(), tmp_path / "lake"
    monkeypatch.setattr(Held, "files", files)
    with pytest.raises(_Dies):
        Archiver(kafka, topics, settings, _Mortal(str(lake)), _metrics(topics)).run_once()
    Archiver(kafka, topics, settings, Lake(str(lake)), _metrics(topics)).run_once()
    figures = judged(place, lake, lag=0)
    assert figures.is_right == (files is not marker_first), figures


def _metrics(topics: TopicSettings) -> ArchiveMetrics:
    return ArchiveMetrics(CollectorRegistry(), (topic_names(topics).steps,))
