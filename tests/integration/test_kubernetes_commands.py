"""What the manifests start, started here as they say, in front of a broker with TLS and passwords, and probed.

The arguments, the variables, the secrets as files, the ports and the paths of the probes are those of the manifests.
This machine's are: addresses and ports, folders in place of volumes, a processor in place of a GPU, and one broker.
"""

import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import pytest

from producers.settings import load_settings
from producers.topics import TopicSettings, topic_specs
from streakline.processes import free_port, spawn
from streakline.redis_server import running_redis
from tests.commands import COMMAND, streakline
from tests.diff_service import ask
from tests.kubernetes import Workload, environ, workloads
from tests.kubernetes_settings import MOUNTED, SECRETS
from tests.secured import PASSWORD, USER, Secured, password_broker
from tests.worker import wait_until

WORKLOADS = {each.name: each for each in workloads()}
TOPICS = WORKLOADS.pop("streakline-topics")
HERE = {"STREAKLINE_METRICS_HOST": "127.0.0.1", "STREAKLINE_DASHBOARD_HOST": "127.0.0.1", "STREAKLINE_DEVICE": "cpu"}
# What is not on 4 partitions takes long on a broker that keeps them all in memory.
OF_THIS_BROKER = {"STREAKLINE_PARTITIONS": "4", "STREAKLINE_REPLICATION": "1"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with password_broker(tmp_path_factory.mktemp("broker") / "authority") as secured:
        yield secured


@pytest.fixture(scope="module")
def secrets(place: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Secret, as it is mounted."""
    folder = tmp_path_factory.mktemp("secrets")
    with running_redis() as redis_url:
        held = SECRETS | {
            "kafka-password": PASSWORD,
            "kafka-ca.pem": place.authority.ca.read_text(),
            "redis-url": redis_url,
        }
        for name, text in held.items():
            (folder / name).write_text(text)
        yield folder


def told(workload: Workload, place: Secured, secrets: Path, root: Path) -> dict[str, str]:
    """The container's environment; what is mounted there lies below `root`."""
    own = environ(workload) | OF_THIS_BROKER
    own |= {"STREAKLINE_KAFKA_BOOTSTRAP": place.front.bootstrap, "STREAKLINE_KAFKA_SASL_USERNAME": USER}
    own |= {name: value for name, value in HERE.items() if name in own}
    places = {mount.mount_path: root / mount.mount_path.removeprefix("/") for mount in workload.container.volume_mounts}
    places |= {MOUNTED: secrets}
    for folder in places.values():
        folder.mkdir(parents=True, exist_ok=True)
    return {name: _moved(value, places) for name, value in own.items()}


def _moved(value: str, places: Mapping[str, Path]) -> str:
    for mounted, here in places.items():
        if PurePosixPath(value).is_relative_to(mounted):
            return str(here / PurePosixPath(value).relative_to(mounted))
    return value


@pytest.fixture(scope="module")
def made(place: Secured, secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the Job says that makes the topics."""
    ended = streakline(*TOPICS.container.args, environ=told(TOPICS, place, secrets, tmp_path_factory.mktemp("topics")))
    assert ended.code == 0, ended.err
    return ended.out


def test_the_job_makes_the_topics_and_may_come_again(made: str, place: Secured, secrets: Path, tmp_path: Path) -> None:
    again = told(TOPICS, place, secrets, tmp_path)
    names = [spec.topic for spec in topic_specs(load_settings(TopicSettings, again))]
    assert made.splitlines() == [f"made {name} with 4 partitions" for name in names]
    assert streakline(*TOPICS.container.args, environ=again).lines == [f"{name} is there" for name in names]


def answers(workload: Workload, ports: dict[str, int]) -> list[int]:
    return [
        ask(f"http://127.0.0.1:{ports[probe.http_get.port]}{probe.http_get.path}")[0]
        for probe in workload.container.probes
    ]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=list(WORKLOADS))
def test_a_pod_gets_ready_and_ends_when_it_is_told_to(
    workload: Workload, place: Secured, secrets: Path, tmp_path: Path
) -> None:
    own = told(workload, place, secrets, tmp_path)
    if workload.name == "streakline-stream":
        Path(own["STREAKLINE_THRESHOLDS"]).write_text("[default]\n")
    ports = {port.name: free_port() for port in workload.container.ports}
    listened = {str(port.container_port): str(ports[port.name]) for port in workload.container.ports}
    for name in ("STREAKLINE_METRICS_PORT", "STREAKLINE_DASHBOARD_PORT"):
        own |= {name: listened[own[name]]} if own.get(name) in listened else {}
    log = tmp_path / "log"
    process = spawn([*COMMAND, *workload.container.args], log=log, environ=own)
    try:
        wait_until(lambda: process.poll() is not None or set(answers(workload, ports)) == {200}, timeout_seconds=240)
        assert process.poll() is None, log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(workload.pod.termination_grace_period_seconds) == 0, log.read_text()
    except subprocess.TimeoutExpired:
        pytest.fail(f"it did not end within its grace period:\n{log.read_text()}")
    finally:
        process.kill()
        process.wait()
