"""However the process of a trainer ends: what was kept arrives, and ending is never held up."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from producers.events import RunFailed
from producers.kafka import KafkaSettings
from producers.publisher import StepPublisher
from producers.spool.folder import folders
from producers.topics import TopicSettings
from tests.child_trainers import CLOSE_SECONDS, STEPS
from tests.commands import settings_environ
from tests.delivered import delivered, kept, on_runs_topic, outline, train, whole
from tests.documents import ROOT
from tests.faulty_broker import FaultyBroker

_TRAINER = ("-m", "tests.child_trainers")

# To start and to end an interpreter on a machine that is busy with much else.
_INTERPRETER_SECONDS = 30.0


@pytest.fixture
def environ(kafka: KafkaSettings, topics: TopicSettings, spool_dir: Path) -> dict[str, str]:
    return {**os.environ, **settings_environ(kafka, topics), "STREAKLINE_SPOOL_DIR": str(spool_dir)}


class Child:
    """A trainer in a process of its own."""

    def __init__(self, environ: dict[str, str], *arguments: str) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=pipe, stdout=pipe, stderr=pipe)

    def said(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def end(self, timeout_seconds: float = 90.0) -> tuple[int, str, str]:
        """Its status, and the rest of what it said."""
        try:
            out, err = self.process.communicate(timeout=timeout_seconds)
        finally:
            self.process.kill()
            self.process.wait()
        return self.process.returncode, out.decode(), err.decode()


def run_child(environ: dict[str, str], name: str) -> tuple[int, str, str]:
    return Child(environ, *_TRAINER, name).end()


def assert_calm(err: str) -> None:
    """Nothing but the sentences of our own log."""
    assert all(line.startswith("run ") for line in err.splitlines()), err


def next_publisher(kafka: KafkaSettings, topics: TopicSettings, run_id: str = "run") -> None:
    """What somebody does on this machine later."""
    with StepPublisher(run_id=run_id, attempt=2, kafka=kafka, topics=topics, close_timeout_seconds=60) as run:
        train(run, range(10))
        deadline = time.monotonic() + 60
        spool_dir = Path(os.environ["STREAKLINE_SPOOL_DIR"])
        # What others left is delivered only while the own run goes on.
        while run.stats.acknowledged < 12 or len(list(folders(spool_dir))) > 1:
            assert time.monotonic() < deadline, f"{run.stats}, and left: {list(folders(spool_dir))}"
            time.sleep(0.05)


@pytest.mark.parametrize("run_id", ["run", "another"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_kills_it_while_the_broker_is_away(
    front: FaultyBroker,
    kafka: KafkaSettings,
    topics: TopicSettings,
    environ: dict[str, str],
    spool_dir: Path,
    run_id: str,
    number: signal.Signals,
) -> None:
    front.refuse()
    child = Child(environ, *_TRAINER, "endless")
    published = 0
    while published < 200:
        published = int(child.said())
    child.process.send_signal(number)
    status, _, err = child.end()
    assert status == -number
    assert_calm(err)
    events = kept(spool_dir)
    assert outline(events) == whole(len(events) - 1)[:-1], "in order, and whole"
    assert len(events) > published - 2, "what was counted as published is on disk"

    front.forward()
    next_publisher(kafka, topics, run_id)
    arrived = delivered(kafka, topics, "run")
    assert arrived.steps[: len(events)] == events, "all of what a dead one has left goes before a newer attempt's"
    assert outline(arrived.steps[len(events) :]) == (whole(10) if run_id == "run" else [])
    assert arrived.runs == on_runs_topic(arrived.steps)
    assert outline(delivered(kafka, topics, run_id).steps)[-12:] == whole(10)
    assert list(folders(spool_dir)) == []


def test_it_is_killed_while_the_broker_is_well(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str], spool_dir: Path
) -> None:
    child = Child(environ, *_TRAINER, "endless")
    published = 0
    while published < 200:
        published = int(child.said())
    child.process.kill()
    child.end()
    next_publisher(kafka, topics)
    first = [event for event in delivered(kafka, topics, "run").steps if event.attempt == 1]
    # What had arrived and could not be noted any more is there twice.
    unique = list(dict.fromkeys(outline(first)))
    assert unique == whole(len(unique) - 1)[:-1]
    assert len(unique) > published - 2
    assert list(folders(spool_dir)) == []


def test_it_exits_without_closing(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str], spool_dir: Path
) -> None:
    status, _, err = run_child(environ, "exits")
    assert (status, err) == (3, "")
    assert outline(delivered(kafka, topics, "run").steps) == whole(STEPS)[:-1], "nobody knows how it ended"
    assert list(folders(spool_dir)) == []


def test_an_exception_that_nobody_catches_fails_the_run(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str]
) -> None:
    status, _, err = run_child(environ, "raises")
    assert status == 1
    assert err.count("Traceback") == 1
    assert err.endswith("RuntimeError: the loop's own\n"), "its own, and nothing of ours"
    arrived = delivered(kafka, topics, "run")
    assert outline(arrived.steps) == whole(STEPS, "RunFailed")
    failed = arrived.runs[-1]
    assert isinstance(failed, RunFailed)
    assert failed.error == "RuntimeError: the loop's own"


def test_it_vanishes(
    front: FaultyBroker, kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str], spool_dir: Path
) -> None:
    front.pause()
    status, _, err = run_child(environ, "vanishes")
    assert (status, err) == (4, "")
    front.forward()
    next_publisher(kafka, topics)
    assert outline(delivered(kafka, topics, "run").steps) == [*whole(STEPS)[:-1], *whole(10)]
    assert list(folders(spool_dir)) == []


@pytest.mark.parametrize("fault", ["refuse", "pause", "swallow"])
def test_the_interpreter_ends_in_time(
    front: FaultyBroker, environ: dict[str, str], spool_dir: Path, fault: str
) -> None:
    getattr(front, fault)()
    began = time.monotonic()
    status, _, err = run_child(environ, "is_a_global")
    assert time.monotonic() - began < CLOSE_SECONDS + _INTERPRETER_SECONDS
    assert status == 0
    assert_calm(err)
    assert "202 of its records wait in" in err
    assert len(kept(spool_dir)) == STEPS + 1


def test_the_interpreter_ends_in_time_where_the_broker_hangs_after_all_has_arrived(
    front: FaultyBroker, environ: dict[str, str]
) -> None:
    child = Child(environ, *_TRAINER, "waits_to_exit")
    assert child.said() == "arrived"
    front.pause()
    began = time.monotonic()
    status, _, err = child.end()
    assert time.monotonic() - began < CLOSE_SECONDS + _INTERPRETER_SECONDS
    assert (status, err) == (0, "")


def test_a_fork_goes_on_with_its_parents_publisher(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str], spool_dir: Path
) -> None:
    status, _, err = run_child(environ, "forks")
    assert status == 0, err
    assert_calm(err)
    assert err.count("\n") == err.count("the publisher was made in another process: make one in this") == 1, "said once"
    for run_id in ("run", "child"):
        arrived = delivered(kafka, topics, run_id)
        assert outline(arrived.steps) == whole(STEPS)
        assert arrived.runs == on_runs_topic(arrived.steps)
    assert list(folders(spool_dir)) == []


def test_a_worker_that_outlives_its_parent_keeps_nothing_locked(
    front: FaultyBroker, kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str], spool_dir: Path
) -> None:
    front.refuse()
    child = Child(environ, *_TRAINER, "worker_outlives")
    worker = int(child.said())
    try:
        child.process.wait(60)
        front.forward()
        next_publisher(kafka, topics)
        os.kill(worker, 0)  # It has lived until here.
    finally:
        os.kill(worker, signal.SIGKILL)
        child.end()
    assert outline(delivered(kafka, topics, "run").steps) == [*whole(STEPS)[:-1], *whole(10)]
    assert list(folders(spool_dir)) == []


def test_multiprocessing(kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str]) -> None:
    status, _, err = run_child(environ, "multiprocesses")
    assert (status, err) == (0, "")
    assert outline(delivered(kafka, topics, "run").steps) == whole(STEPS)
    for method in ("fork", "spawn", "forkserver"):
        assert outline(delivered(kafka, topics, method).steps) == whole(20)


def test_a_signal_handler_fails_the_run(kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str]) -> None:
    # What measures the coverage takes a lock in every call, and the handler's exception may leave it taken.
    unmeasured = {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}
    child = Child(unmeasured, *_TRAINER, "has_a_handler")
    assert child.said() == "trains"
    child.process.send_signal(signal.SIGTERM)
    status, _, err = child.end()
    assert (status, err) == (5, "")
    arrived = outline(delivered(kafka, topics, "run").steps)
    # The step that was being taken may be on its way, and counts no more.
    assert arrived == whole(len(arrived) - 2, "RunFailed")


def test_of_two_ranks_the_first_publishes(kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str]) -> None:
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_addr", "127.0.0.1"]
    child = Child(environ, *launcher, "--master_port", "0", *_TRAINER, "is_a_rank")
    status, out, err = child.end(120)
    assert status == 0, err
    assert sorted(out.splitlines()) == ["rank 0 publishes: True", "rank 1 publishes: False"]
    assert outline(delivered(kafka, topics, "run").steps) == whole(STEPS)


def test_many_runs_leave_nothing_behind(kafka: KafkaSettings, environ: dict[str, str], spool_dir: Path) -> None:
    status, out, err = run_child(environ, "runs_one_after_the_other")
    assert (status, err) == (0, "")
    first, last = eval(out)
    assert first == last
    assert list(folders(spool_dir)) == []


def test_several_threads_publish_at_once(kafka: KafkaSettings, topics: TopicSettings) -> None:
    with StepPublisher(run_id="run", kafka=kafka, topics=topics, close_timeout_seconds=60) as run:
        threads = [
            threading.Thread(target=train, args=(run, range(begin, begin + 300))) for begin in range(0, 1_200, 300)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    started, *steps, completed = outline(delivered(kafka, topics, "run").steps)
    assert (started, completed) == ("RunStarted", "RunCompleted")
    assert sorted(map(int, steps)) == list(range(1_200))
    assert run.stats.acknowledged == run.stats.published == 1_204
