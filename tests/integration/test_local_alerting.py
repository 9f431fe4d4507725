"""The local stack's alerts: real Prometheus, real Alertmanager, from a trainer's event to the page."""

import contextlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from streakline.alerting import INSTALL, AlertingSettings, find_binaries
from streakline.processes import free_port
from tests.commands import said_until_up, start
from tests.live_runs import one_step
from tests.publishing import publish
from tests.running_stack import running


@pytest.fixture(autouse=True)
def _servers_are_installed() -> None:
    """Fails with the sentence that says how to install them where they are not."""
    find_binaries()


def test_a_signal_is_one_notification_and_a_replay_of_an_old_one_is_none(tmp_path: Path) -> None:
    with running(tmp_path) as it:
        records = [one_step("old", age_seconds=86_400), one_step("sft-7")]
        publish(it.stack.kafka, it.stack.topics, records)
        it.wait_until(lambda: it.notifications != [])
        # A redelivery, and some more evaluations, are no news.
        publish(it.stack.kafka, it.stack.topics, records)
        it.stack.watch(10)
    (notification,) = it.notifications
    assert (notification.receiver, notification.status) == ("pager", "firing")
    (page,) = notification.pages
    assert (page.alert, page.run_id) == ("TrainingRunCriticalSignal", "sft-7")
    assert (page.type, page.severity) == ("non_finite", "critical")
    assert "sft-7" in page.summary
    assert it.said == []


def test_prometheus_that_dies_is_started_again_and_knows_what_it_knew(tmp_path: Path) -> None:
    with running(tmp_path) as it:
        before = it.wait_for_scrape()
        it.kill("prometheus")
        it.wait_until(lambda: it.query("up", before) == [1.0])
        assert it.said == [f"prometheus ended with status {-signal.SIGKILL}: starting it again"]
        pids = [service.process.pid for service in it.stack._services]
    assert len(pids) == 4
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_an_empty_broker_means_an_empty_prometheus(tmp_path: Path) -> None:
    with running(tmp_path) as it:
        before = it.wait_for_scrape()
        assert it.stack._broker is not None
        it.stack._broker.kill()
        it.stack._broker.wait()
        it.stack.check()
        assert it.wait_for_scrape() > before
        assert it.query("up", before) == []


def test_ports_that_are_taken_are_left_to_whoever_has_them(tmp_path: Path) -> None:
    with contextlib.ExitStack() as others:
        first, second, third = (
            others.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(3)
        )
        taken = AlertingSettings(prometheus_port=first, alertmanager_port=second, receiver_port=third)
        with running(tmp_path, taken) as it:
            publish(it.stack.kafka, it.stack.topics, [one_step("sft-7")])
            it.wait_until(lambda: it.notifications != [])
    assert [said.rpartition(" ")[0] for said in it.said] == [
        f"port {first} is taken: prometheus listens on",
        f"port {second} is taken: alertmanager listens on",
        f"port {third} is taken: the receiver of pages listens on",
    ]


@contextlib.contextmanager
def up(folder: Path, *options: str, environ: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`streakline up` on free ports, until the block ends; it must have nothing to add."""
    ports = ["--port", str(free_port()), "--metrics-port", str(free_port()), "--diff-workers", "0"]
    environ = {"STREAKLINE_REDIS_URL": "redis://127.0.0.1:1/0", **(environ or {})}
    process = start("up", *ports, "--state-dir", folder / "state", *options, environ=environ)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            ended = process.communicate(timeout=90)
        finally:
            process.kill()
            process.wait()
    assert (process.returncode, *ended) == (130, b"", b"")


def test_up_shows_the_page(tmp_path: Path) -> None:
    with up(tmp_path) as process:
        said = said_until_up(process)
        (bootstrap,) = (line.split()[1] for line in said if line.startswith("broker"))
        publish(KafkaSettings(kafka_bootstrap=bootstrap), TopicSettings(), [one_step("sft-7")])
        assert process.stderr is not None
        page = process.stderr.readline().decode()
    assert page.startswith("pager     critical  TrainingRunCriticalSignal  "), page
    assert "sft-7" in page


WITHOUT_ALERTS = ["broker", "stream-1", "archive", "lake", "logs", "other", "dashboard", "Ctrl-C"]


def named(said: list[str]) -> list[str]:
    """What each line is of; somebody else may have a usual port."""
    return [line.split()[0] for line in said if not line.startswith("port ")]


def test_up_without_alerts_starts_none(tmp_path: Path) -> None:
    with up(tmp_path, "--no-alerts") as process:
        said = said_until_up(process)
    assert named(said) == ["starting", *WITHOUT_ALERTS]
    assert not (tmp_path / "state" / "prometheus").exists()


@pytest.mark.parametrize(("there", "missing"), [((), "prometheus"), (("prometheus",), "alertmanager")])
def test_up_says_how_to_install_them_and_does_without(there: tuple[str, ...], missing: str, tmp_path: Path) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    for name in there:
        (path / name).symlink_to(shutil.which(name) or name)
    with up(tmp_path, environ={"PATH": str(path)}) as process:
        said = said_until_up(process)
    assert said[1] == f"alerts are off: {missing} is not installed: {INSTALL} (Debian, Ubuntu)"
    assert named(said[2:]) == WITHOUT_ALERTS
    assert not (tmp_path / "state" / "prometheus").exists()
