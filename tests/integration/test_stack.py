"""The local stack: what dies is started again, and nothing is left behind."""

import os
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from msgspec.structs import replace

from producers.codec import encode
from producers.kafka import KafkaSettings
from producers.redis.client import reach
from producers.topics import TopicSettings, partition_counts, topic_names
from streakline import archiving
from streakline.archiving import ArchivingSettings
from streakline.broker import BrokerError
from streakline.diffing import DiffingSettings
from streakline.processes import free_port
from streakline.stack import MAX_RESTARTS, Stack, StackError, StackSettings
from streakline.stack_dashboard import StackDashboardSettings
from streakline.stack_redis import StackRedisSettings
from stream_app.engine.replay import steps
from tests.clusters import kafka_at
from tests.commands import said_until_up, settings_environ, start
from tests.diff_service import ask
from tests.live_reading import LiveReader
from tests.publishing import publish, signals_on
from tests.worker import wait_until
from tests.workload import Published
from workers.archive.missing import records_missing
from workers.lake.session import Session
from workers.lake.writer import Lake

TOPICS = TopicSettings(partitions=2)


def settings(folder: Path, *, workers: int = 1) -> StackSettings:
    folder.mkdir(exist_ok=True)
    return StackSettings(state_dir=folder, broker_port=0, workers=workers, metrics_port=0)


def nan_record(run_id: str) -> Published:
    return Published(run_id.encode(), encode(steps(loss=[float("nan")], run_id=run_id)[0]))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_stack_judges_and_leaves_nothing_running(tmp_path: Path) -> None:
    with Stack(settings(tmp_path, workers=2), KafkaSettings(), TOPICS) as stack:
        pids = [worker.process.pid for worker in stack.workers]
        publish(stack.kafka, TOPICS, [nan_record("run")])
        wait_until(lambda: len(signals_on(stack.kafka, TOPICS)) == 1)
    assert len(pids) == 2
    assert not any(map(is_alive, pids))


def test_a_worker_that_dies_is_started_again_and_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    with Stack(settings(tmp_path), KafkaSettings(), TOPICS, say=said.append) as stack:
        stack.workers[0].process.kill()
        stack.workers[0].process.wait()
        stack.check()
        publish(stack.kafka, TOPICS, [nan_record("run")])
        wait_until(lambda: len(signals_on(stack.kafka, TOPICS)) == 1)
    assert said == [f"stream-1 ended with status {-signal.SIGKILL}: starting it again"]


def test_redis_and_diff_workers_are_started_watched_and_stopped(tmp_path: Path) -> None:
    said: list[str] = []
    started = replace(settings(tmp_path), redis=StackRedisSettings(port=0), diffing=DiffingSettings(metrics_port=0))
    with Stack(started, KafkaSettings(), TOPICS, say=said.append) as stack:
        assert stack.redis is not None
        (redis,) = (service for service in stack._services if service.name == "redis")
        (worker,) = stack.diff_workers
        redis.process.kill()
        redis.process.wait()
        stack.check()
        assert said == [f"redis ended with status {-signal.SIGKILL}: starting it again"]
        pids = [service.process.pid for service in stack._services]
        url = stack.redis.url

        def all_there() -> bool:
            stack.check()
            return reach(url) is not None and ask(f"http://{worker.address}/readyz") == (200, {})

        wait_until(all_there, timeout_seconds=120)
    assert len(pids) == 3
    assert not any(map(is_alive, pids))


def archived(lake: Path, sql: str) -> list[tuple[object, ...]]:
    with Session(str(lake)) as session:
        return list(session.ask(sql).rows)


def test_an_archiver_is_started_watched_and_archives_again_what_the_next_broker_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker begins at offset 0 again, with the same run, the lake stays."""
    monkeypatch.setenv("STREAKLINE_ARCHIVE_SECONDS", "0.5")
    monkeypatch.setenv("STREAKLINE_SESSION_TIMEOUT_SECONDS", "2")
    monkeypatch.delenv("STREAKLINE_LAKE", raising=False)
    started = replace(settings(tmp_path), archiving=ArchivingSettings(metrics_port=0))
    for times in (1, 2):
        with Stack(started, KafkaSettings(), TOPICS) as stack:
            assert stack.lake == str(tmp_path / "lake")
            publish(stack.kafka, TOPICS, [nan_record("run")])
            wait_until(lambda: len(signals_on(stack.kafka, TOPICS)) == 1)
            pid = killed_and_archiving_again(stack)
        assert not is_alive(pid)
        assert archived(tmp_path / "lake", "SELECT run_id, step FROM steps") == [("run", 0)] * times
        assert archived(tmp_path / "lake", "SELECT run_id, type FROM signals") == [("run", "non_finite")]


def killed_and_archiving_again(stack: Stack) -> int:
    """The archiver dies, and its successor has everything in the lake; gives its process."""
    (archiver,) = stack.archivers
    archiver.process.kill()
    archiver.process.wait()
    stack.check()
    wait_until(lambda: ask(f"http://{archiver.address}/readyz") == (200, {}))
    wait_until(lambda: records_missing(stack.kafka, TOPICS, Lake(str(stack.lake))) == 0)
    return archiver.process.pid


def test_what_archives_need_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "missing_for_archive", lambda: "pyarrow")
    said: list[str] = []
    started = replace(settings(tmp_path), archiving=ArchivingSettings(metrics_port=0))
    with Stack(started, KafkaSettings(), TOPICS, say=said.append) as stack:
        assert stack.archivers == []
        assert stack.lake is None
    assert said == ["no archiver: pyarrow is not installed: pip install 'streakline[workers]'"]


def test_a_dashboard_shows_what_the_stack_judged_and_is_started_again(tmp_path: Path) -> None:
    started = replace(settings(tmp_path), redis=StackRedisSettings(port=0), dashboard=StackDashboardSettings(port=0))
    with Stack(started, KafkaSettings(), TOPICS) as stack:
        assert stack.dashboard is not None
        url = stack.dashboard.url
        publish(stack.kafka, TOPICS, [nan_record("run")])
        wait_until(lambda: ask(f"{url}healthz")[0] == 200)
        (service,) = (service for service in stack._services if service.name == "dashboard")
        pid = service.process.pid
        service.process.kill()
        service.process.wait()
        stack.check()
        wait_until(lambda: ask(f"{url}healthz")[0] == 200)
        wait_until(lambda: b">run<" in page_of(f"{url}runs/run"))
    assert not is_alive(pid)
    assert not is_alive(service.process.pid)


def page_of(url: str) -> bytes:
    """The page, once it is there."""
    try:
        with urllib.request.urlopen(url) as response:
            body: bytes = response.read()
            return body
    except urllib.error.HTTPError as error:
        return error.read()


def test_live_runs_are_shown_also_where_there_is_no_diff_worker(tmp_path: Path) -> None:
    started = replace(settings(tmp_path), redis=StackRedisSettings(port=0))
    with Stack(started, KafkaSettings(), TOPICS) as stack:
        reader = LiveReader(str(stack.redis_url), TOPICS.topic_prefix)
        publish(stack.kafka, TOPICS, [nan_record("run")])
        wait_until(lambda: reader.last_step("run") == 0)
        assert [each.name for each in stack._services] == ["redis", "stream-1"]


def test_without_a_redis_of_the_stack_a_worker_looks_for_no_other(tmp_path: Path) -> None:
    with Stack(settings(tmp_path), KafkaSettings(), TOPICS) as stack:
        publish(stack.kafka, TOPICS, [nan_record("run")])
        wait_until(lambda: len(signals_on(stack.kafka, TOPICS)) == 1)
        assert stack.redis_url is None
        assert "Redis" not in (stack.logs / "stream-1.log").read_text()


def test_a_broker_that_dies_takes_its_data_with_it_and_everything_starts_anew(tmp_path: Path) -> None:
    with Stack(settings(tmp_path), KafkaSettings(), TOPICS) as stack:
        publish(stack.kafka, TOPICS, [nan_record("run")])
        wait_until(lambda: len(signals_on(stack.kafka, TOPICS)) == 1)
        assert stack._broker is not None
        stack._broker.kill()
        stack._broker.wait()
        stack.check()
        assert topic_names(TOPICS).steps in partition_counts(stack.kafka)
        # The same events are new to the new broker's topics, so the old states must be gone.
        publish(stack.kafka, TOPICS, [nan_record("run")])
        wait_until(lambda: len(signals_on(stack.kafka, TOPICS)) == 1)


def test_what_keeps_dying_ends_the_stack_with_a_sentence(tmp_path: Path) -> None:
    with Stack(settings(tmp_path), KafkaSettings(), TOPICS) as stack:
        for restarts in range(MAX_RESTARTS + 1):
            stack.workers[0].process.kill()
            stack.workers[0].process.wait()
            if restarts < MAX_RESTARTS:
                stack.check()
        with pytest.raises(StackError, match="stream-1 keeps dying: see"):
            stack.check()


def test_a_folder_holds_one_stack(tmp_path: Path) -> None:
    with (
        Stack(settings(tmp_path), KafkaSettings(), TOPICS),
        pytest.raises(StackError, match=r"already runs in .*--state-dir"),
        Stack(settings(tmp_path), KafkaSettings(), TOPICS),
    ):
        pass


def test_a_taken_port_is_one_sentence(tmp_path: Path, broker: str) -> None:
    port = int(broker.rpartition(":")[2])
    taken = StackSettings(state_dir=tmp_path, broker_port=port, metrics_port=0)
    with pytest.raises(BrokerError, match=f"port {port} is taken"), Stack(taken, KafkaSettings(), TOPICS):
        pass


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_up_says_where_things_are_and_ends_cleanly(how: signal.Signals, tmp_path: Path) -> None:
    port = free_port()
    command = start("up", "--port", str(port), "--metrics-port", str(free_port()), "--state-dir", tmp_path / "state")
    said = said_until_up(command)
    assert said[0] == "starting the broker and the workers"
    # Somebody else may have the usual ports of Prometheus and Alertmanager.
    where = [line for line in said[1:] if not line.startswith("port ")]
    assert where[0] == f"broker         127.0.0.1:{port} (in memory)"
    assert where[1].startswith("redis          127.0.0.1:")
    assert where[2].startswith("stream-1       http://127.0.0.1:")
    assert where[3].startswith("diff-1         http://127.0.0.1:")
    assert where[4].startswith("archive        http://127.0.0.1:")
    assert where[5] == f"lake           {os.path.relpath(tmp_path / 'state' / 'lake')}"
    assert where[6].startswith("prometheus     http://127.0.0.1:")
    assert where[7].startswith("alertmanager   http://127.0.0.1:")
    assert where[8].startswith("logs           ")
    assert where[9].startswith(f"other commands: export STREAKLINE_KAFKA_BOOTSTRAP=127.0.0.1:{port} ")
    assert f" STREAKLINE_LAKE={tmp_path / 'state' / 'lake'}" in where[9]
    assert where[10].startswith("dashboard      http://127.0.0.1:")
    assert where[11:] == ["Ctrl-C stops everything"]
    command.send_signal(how)
    out, err = command.communicate(timeout=30)
    assert (command.returncode, out, err) == (130, b"", b"")
    with pytest.raises(RuntimeError):
        partition_counts(KafkaSettings(kafka_bootstrap=f"127.0.0.1:{port}"), timeout_seconds=1)


def test_up_beside_a_broker_starts_only_workers(broker: str, topics: TopicSettings, tmp_path: Path) -> None:
    kafka = kafka_at(broker)
    command = start(
        *("up", "--metrics-port", str(free_port()), "--diff-workers", "0", "--no-archive", "--state-dir", tmp_path),
        environ=settings_environ(kafka, topics),
    )
    publish(kafka, topics, [nan_record("run")])
    wait_until(lambda: len(signals_on(kafka, topics)) == 1)
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=30)
    assert command.returncode == 130
    assert err.startswith(b"starting the workers\n")
    assert b"\nstream-1 " in err
    assert b"\narchive " not in err
