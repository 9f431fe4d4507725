"""What hangs says where, is told from what is well, and is started again by the stack; nothing is lost by it."""

import signal
import stat
import sys
from pathlib import Path

import pytest

from producers.codec import decode, encode
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from streakline import health
from streakline.archiving import ArchivingSettings
from streakline.diffing import DiffingSettings
from streakline.processes import free_port, spawn, wait_for_port
from streakline.stack import Stack, StackSettings
from streakline.stack_dashboard import StackDashboardSettings
from streakline.stack_redis import StackRedisSettings
from stream_app.engine.replay import signals_of
from stream_app.settings import StreamSettings
from tests.commands import settings_environ
from tests.diff_service import ask
from tests.publishing import publish, signals_on
from tests.worker import running_worker, wait_until
from tests.workload import fleet

STALL_SECONDS = 3
TOPICS = TopicSettings(partitions=2)
JUDGE = "stream_app.steps:StepsAgent.judge"


def standing_still(where: str, marker: Path, call: int = 3) -> tuple[str, ...]:
    return "-m", "tests.standing_still", where, str(call), str(marker)


def detail_at(url: str, check: str) -> str:
    """What a check that fails says; empty while it passes."""
    return ask(url)[1].get(check, "")


def test_a_stream_worker_whose_loop_stands_says_where_and_answers_all_the_same(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    publish(kafka, topics, fleet(runs=5, steps=600, layers=2))
    program = (*standing_still(JUDGE, tmp_path / "marker"), "stream")
    settings = StreamSettings(stall_seconds=STALL_SECONDS)
    with running_worker(kafka, topics, tmp_path / "data", settings, program) as worker:
        address = f"http://127.0.0.1:{worker.metrics_port}"
        wait_until(lambda: "has not turned for" in detail_at(f"{address}/healthz", "loop"), worker)
        assert ask(f"{address}/healthz")[0] == 503
        assert 'streakline_ready{check="loop"} 0.0' in worker.exposed()
        log = worker.log.read_text()
    assert "ERROR streakline.stalls: the event loop has not turned for 3 s; this is where everything stands:" in log
    _, _, stack = log.partition("\n    thread MainThread:\n")
    assert "in _apply\n        judged = self.judge(records)\n" in stack.partition("\n    \n")[0]
    assert "in stand_still\n        threading.Event().wait()\n" in stack.partition("\n    \n")[0]
    assert "in _slurp_changelogs\n" in log  # a task of the same loop


@pytest.mark.parametrize(
    ("command", "where", "loop"),
    [
        ("archive", "workers.archive.archiver:Archiver._tell", "loop"),
        ("diff-worker", "workers.diff_worker:DiffWorker._commit", "loop"),
        ("diff-worker", "workers.regression_writer:RegressionWriter._is_due", "regressions"),
    ],
)
def test_each_loop_of_the_other_workers_is_watched(
    command: str, where: str, loop: str, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    environ = {
        **settings_environ(kafka, topics),
        "STREAKLINE_METRICS_PORT": str(port),
        "STREAKLINE_STALL_SECONDS": str(STALL_SECONDS),
        "STREAKLINE_LAKE": str(tmp_path / "lake"),
        "STREAKLINE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
    }
    process = spawn([sys.executable, *standing_still(where, tmp_path / "marker"), command], log=log, environ=environ)
    try:
        url = f"http://127.0.0.1:{port}/healthz"
        wait_until(lambda: "has not turned for" in detail_at(url, loop), timeout_seconds=120)
        assert ask(url)[1].keys() == {loop}
        assert "in stand_still\n" in log.read_text()
    finally:
        process.kill()
        process.wait()


def test_a_dashboard_whose_loop_stands_says_where(tmp_path: Path) -> None:
    """It answers nothing then, which is what tells the stack."""
    port, log = free_port(), tmp_path / "log"
    program = standing_still("streakline.dashboard.health:Health.handle", tmp_path / "marker", call=1)
    environ = {
        "STREAKLINE_STALL_SECONDS": str(STALL_SECONDS),
        "STREAKLINE_LAKE": str(tmp_path / "lake"),
        "STREAKLINE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
    }
    process = spawn([sys.executable, *program, "dashboard", "--port", str(port)], log=log, environ=environ)
    try:
        assert wait_for_port(process, port, timeout_seconds=60)
        assert ask(f"http://127.0.0.1:{port}/healthz") == (0, {})
        wait_until(lambda: "the event loop has not turned for 3 s" in log.read_text())
        assert "in stand_still\n" in log.read_text()
        assert "\n    task " in log.read_text()
    finally:
        process.kill()
        process.wait()


def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.5)


def test_the_stack_starts_a_worker_whose_loop_stands_again_and_no_signal_is_lost_or_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at_often(monkeypatch)
    monkeypatch.setenv("STREAKLINE_STALL_SECONDS", str(STALL_SECONDS))
    python = tmp_path / "python"
    program = " ".join([sys.executable, *standing_still(JUDGE, tmp_path / "marker")])
    python.write_text(f"#!/bin/sh\nexec {program} stream\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(python))
    records = list(fleet(runs=7, steps=900, layers=3))
    expected = {each.signal_id: encode(each) for each in signals_of(decode(record.value) for record in records)}
    assert expected
    said: list[str] = []
    with Stack(only_workers(tmp_path), KafkaSettings(), TOPICS, say=said.append) as stack:
        (worker,) = stack.workers
        pid = worker.process.pid
        publish(stack.kafka, TOPICS, records)

        def all_there() -> bool:
            stack.check()
            return {each.signal_id: encode(each) for each in signals_on(stack.kafka, TOPICS)} == expected

        wait_until(all_there, timeout_seconds=120)
        assert worker.process.pid != pid
    assert (tmp_path / "marker").exists()
    (sentence,) = said
    assert sentence.startswith("stream-1 runs and is not well (loop has not turned for ")
    assert sentence.endswith(" s, see the log): starting it again")


def only_workers(folder: Path) -> StackSettings:
    return StackSettings(state_dir=folder, broker_port=0, metrics_port=0)


def test_the_stack_starts_what_gives_no_answer_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped processes take connections, and heed no SIGTERM."""
    looked_at_often(monkeypatch)
    monkeypatch.delenv("STREAKLINE_LAKE", raising=False)
    settings = StackSettings(
        state_dir=tmp_path,
        broker_port=0,
        workers=0,
        redis=StackRedisSettings(port=0),
        diffing=DiffingSettings(metrics_port=0),
        archiving=ArchivingSettings(metrics_port=0),
        dashboard=StackDashboardSettings(port=0),
    )
    said: list[str] = []
    with Stack(settings, KafkaSettings(), TOPICS, say=said.append) as stack:
        watched = [service for service in stack._services if service.name != "redis"]

        def all_well() -> bool:
            stack.check()
            return all(service._health is not None and service._health.was_well for service in watched)

        wait_until(all_well, timeout_seconds=120)
        before = {service.name: service.process for service in watched}
        for process in before.values():
            process.send_signal(signal.SIGSTOP)

        def all_anew() -> bool:
            stack.check()
            return all(service.process is not before[service.name] for service in watched)

        wait_until(all_anew, timeout_seconds=120)
        wait_until(all_well, timeout_seconds=120)
        assert [process.returncode for process in before.values()] == [-signal.SIGKILL] * 3
    assert sorted(said) == [
        f"{name} runs and is not well (/healthz gives no answer in 5 s): starting it again"
        for name in ("archive", "dashboard", "diff-1")
    ]
