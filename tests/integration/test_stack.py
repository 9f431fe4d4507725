"""The local stack: what dies is started again, and nothing is left behind."""

import os
import signal
from pathlib import Path

import pytest
from msgspec.structs import replace

from producers.codec import encode
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, partition_counts, topic_names
from streakline.broker import BrokerError
from streakline.diffing import DiffingSettings
from streakline.processes import free_port
from streakline.stack import MAX_RESTARTS, Stack, StackError, StackSettings
from stream_app.engine.replay import steps
from tests.commands import said_until_up, settings_environ, start
from tests.diff_service import ask
from tests.publishing import publish, signals_on
from tests.worker import wait_until
from tests.workload import Published
from workers.coordination.client import reach

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
    started = replace(settings(tmp_path), diffing=DiffingSettings(metrics_port=0, redis_port=0))
    with Stack(started, KafkaSettings(), TOPICS, say=said.append) as stack:
        assert stack.diffing is not None
        assert stack.diffing.redis is not None
        (redis,) = (service for service in stack._services if service.name == "redis")
        (worker,) = stack.diff_workers
        redis.process.kill()
        redis.process.wait()
        stack.check()
        assert said == [f"redis ended with status {-signal.SIGKILL}: starting it again"]
        pids = [service.process.pid for service in stack._services]
        url = stack.diffing.redis.url

        def all_there() -> bool:
            stack.check()
            return reach(url) is not None and ask(f"http://{worker.address}/readyz") == (200, {})

        wait_until(all_there, timeout_seconds=120)
    assert len(pids) == 3
    assert not any(map(is_alive, pids))


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
    assert where[4] == f"lake           {os.path.relpath(tmp_path / 'state' / 'lake')}"
    assert where[5].startswith("prometheus     http://127.0.0.1:")
    assert where[6].startswith("alertmanager   http://127.0.0.1:")
    assert where[7].startswith("logs           ")
    assert where[8].startswith(f"other commands: export STREAKLINE_KAFKA_BOOTSTRAP=127.0.0.1:{port} ")
    assert f" STREAKLINE_LAKE={tmp_path / 'state' / 'lake'}" in where[8]
    assert where[9:] == ["Ctrl-C stops everything"]
    command.send_signal(how)
    out, err = command.communicate(timeout=30)
    assert (command.returncode, out, err) == (130, b"", b"")
    with pytest.raises(RuntimeError):
        partition_counts(KafkaSettings(kafka_bootstrap=f"127.0.0.1:{port}"), timeout_seconds=1)


def test_up_beside_a_broker_starts_only_workers(broker: str, topics: TopicSettings, tmp_path: Path) -> None:
    kafka = KafkaSettings(kafka_bootstrap=broker)
    command = start(
        *("up", "--metrics-port", str(free_port()), "--diff-workers", "0", "--state-dir", tmp_path),
        environ=settings_environ(kafka, topics),
    )
    publish(kafka, topics, [nan_record("run")])
    wait_until(lambda: len(signals_on(kafka, topics)) == 1)
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=30)
    assert command.returncode == 130
    assert err.startswith(b"starting the workers\n")
