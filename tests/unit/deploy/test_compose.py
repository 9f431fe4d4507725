"""deploy/compose.yaml: what Docker Compose says of it, and what every service has to be."""

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from producers.kafka import KafkaSettings
from producers.settings import FILE, PREFIX
from producers.topics import TopicSettings
from streakline.dashboard.settings import DashboardSettings
from stream_app.settings import StreamSettings
from tests.alerting import PROMETHEUS, run
from tests.composed import DEPLOY, Composed, Service, composed
from tests.documents import ROOT
from workers.settings import ArchiveSettings, DiffSettings, DiffWorkerSettings

KINDS = (
    KafkaSettings,
    TopicSettings,
    StreamSettings,
    DiffSettings,
    DiffWorkerSettings,
    ArchiveSettings,
    DashboardSettings,
)
SETTINGS = {PREFIX + field.name.upper() for kind in KINDS for field in msgspec.structs.fields(kind)}
METRICS_PORT = 9464


@pytest.fixture(scope="module")
def whole() -> Composed:
    return composed()


def test_it_is_one_of_each_and_two_stream_workers(whole: Composed) -> None:
    assert sorted(whole.services) == [
        *("alertmanager", "archive", "dashboard", "diff-cpu", "diff-gpu", "grafana", "kafka", "prometheus", "redis"),
        *("stream-1", "stream-2", "topics"),
    ]
    assert {name: service.profiles for name, service in whole.services.items() if service.profiles} == {
        "diff-cpu": ["cpu"],
        "diff-gpu": ["gpu"],
    }


def test_nothing_may_do_more_than_it_has_to(whole: Composed) -> None:
    for name, service in whole.services.items():
        assert service.read_only, name
        assert service.user.split(":")[0] not in {"root", "0", ""}, name
        assert (service.cap_drop, service.cap_add, service.privileged) == (["ALL"], [], False), name
        assert service.security_opt == ["no-new-privileges:true"], name
        limits = service.deploy.resources.limits
        assert min(limits.cpus, limits.memory, limits.pids) > 0, name


def test_nobody_but_this_machine_reaches_a_port(whole: Composed) -> None:
    assert {port.host_ip for service in whole.services.values() for port in service.ports} == {"127.0.0.1"}
    assert whole.networks["inside"].internal
    for name, service in whole.services.items():
        assert bool(service.ports) == ("outside" in service.networks), name


def test_an_image_is_ours_or_known_by_its_digest(whole: Composed) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name, service in whole.services.items():
        if service.target:
            assert service.image == f"streakline-{service.target}:{version}"
        else:
            assert re.fullmatch(r"[a-z/]+:[\w.-]+@sha256:[0-9a-f]{64}", service.image), name


def test_all_that_runs_on_is_started_again_and_asked_how_it_is(whole: Composed) -> None:
    for name, service in whole.services.items():
        if name == "topics":
            assert (service.restart, service.healthcheck.disable) == ("on-failure", True)
        else:
            assert service.restart == "unless-stopped", name
            assert service.healthcheck.test, name


def test_a_worker_says_whether_it_is_ready_where_prometheus_asks_it(whole: Composed) -> None:
    workers = {name: service for name, service in whole.ours.items() if name not in {"topics", "dashboard"}}
    for name, service in workers.items():
        assert service.healthcheck.test[-1] == f"http://127.0.0.1:{METRICS_PORT}/readyz"
        asked = {name, *aliases(service)} & set(targets(whole))
        assert len(asked) == 1, name
    assert set(targets(whole)) == {"stream-1", "stream-2", "diff", "archive", "alertmanager"}


def aliases(service: Service) -> list[str]:
    return (service.networks["inside"] or {}).get("aliases", [])


def targets(whole: Composed) -> dict[str, int]:
    """Host → port, of everything that Prometheus is told of."""
    found: dict[str, int] = {}
    for path in whole.source("prometheus", "/etc/prometheus/targets").iterdir():
        for group in msgspec.json.decode(path.read_bytes(), type=list[dict[str, list[str]]]):
            found |= {host: int(port) for host, port in (target.split(":") for target in group["targets"])}
    return found


def test_each_stream_worker_has_a_volume_of_its_own(whole: Composed) -> None:
    held = [
        mount.source
        for service in whole.services.values()
        for mount in service.volumes
        if mount.target == "/var/lib/streakline/stream"
    ]
    assert held == ["stream-1", "stream-2"]
    assert set(held) <= set(whole.volumes)


def test_the_dashboard_writes_nothing(whole: Composed) -> None:
    assert all(mount.read_only for mount in whole.services["dashboard"].volumes)


@pytest.mark.parametrize("name", ["stream-1", "diff-gpu", "archive", "dashboard", "topics"])
def test_every_variable_is_a_setting(name: str, whole: Composed) -> None:
    environ = whole.services[name].environment
    assert environ
    assert {variable.removesuffix(FILE) for variable in environ} <= SETTINGS


def test_a_secret_is_in_a_file_that_the_service_is_given(whole: Composed) -> None:
    for name, service in whole.services.items():
        mounted = {mount.target for mount in service.secrets}
        named = {value for variable, value in service.environment.items() if variable.endswith(FILE)}
        assert named <= mounted, name
        assert not [value for value in service.environment.values() if "@" in value and "://" in value], name
    assert {Path(secret.file).parent for secret in whole.secrets.values()} == {DEPLOY / "secrets"}


def test_models_are_seen_under_their_own_name() -> None:
    elsewhere = composed(STREAKLINE_MODELS="/srv/checkpoints")
    for name in ("diff-cpu", "diff-gpu"):
        assert elsewhere.source(name, "/srv/checkpoints") == Path("/srv/checkpoints")
        assert elsewhere.services[name].environment["STREAKLINE_MODEL_ROOTS"] == "/srv/checkpoints"


def test_a_gpu_is_asked_for_where_it_is_used(whole: Composed) -> None:
    reserved = {name: service.deploy.resources.reservations for name, service in whole.services.items()}
    assert {name for name, each in reserved.items() if each} == {"diff-gpu"}
    assert reserved["diff-gpu"]["devices"] == [{"capabilities": ["gpu"], "driver": "nvidia", "count": 1}]


def test_prometheus_accepts_what_is_mounted(whole: Composed, tmp_path: Path) -> None:
    for target in ("prometheus.yml", "rules", "targets"):
        source = whole.source("prometheus", f"/etc/prometheus/{target}")
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / target)
    run("promtool", "check", "config", tmp_path / "prometheus.yml")
    shipped = {path.name for path in (PROMETHEUS / "targets").iterdir()}
    assert {path.name for path in (tmp_path / "targets").iterdir()} == shipped


def test_grafana_is_given_what_its_provisioning_asks_for(whole: Composed) -> None:
    provisioning = whole.source("grafana", "/etc/grafana/provisioning")
    provider: Any = msgspec.yaml.decode((provisioning / "dashboards" / "streakline.yaml").read_bytes())
    (place,) = (each["options"]["path"] for each in provider["providers"])
    assert list(whole.source("grafana", place).glob("*.json"))
    source: Any = msgspec.yaml.decode((provisioning / "datasources" / "prometheus.yaml").read_bytes())
    variable = source["datasources"][0]["url"].removeprefix("$")
    assert whole.services["grafana"].environment[variable] == "http://prometheus:9090"


def test_everything_that_is_mounted_from_here_is_here(whole: Composed) -> None:
    for service in whole.services.values():
        for mount in service.volumes:
            if mount.type == "bind" and ROOT in Path(mount.source).parents:
                assert Path(mount.source).exists()
