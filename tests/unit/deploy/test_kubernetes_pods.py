"""The pods: what they run, are told, may do and may write, held against the commands and settings themselves."""

import re
import tomllib
from pathlib import Path, PurePosixPath

import msgspec
import pytest
from msgspec.structs import fields

from producers.kafka import KafkaSettings
from producers.settings import PREFIX, load_settings
from producers.topics import TopicSettings
from streakline.dashboard.settings import DashboardSettings, place_of
from stream_app.engine.thresholds import ThresholdPolicy, load_policy
from stream_app.settings import StreamSettings
from tests.commands import streakline
from tests.documents import ROOT
from tests.kubernetes import (
    BASE,
    Budget,
    ConfigMap,
    Mount,
    Named,
    Service,
    Volume,
    Workload,
    environ,
    manifests,
    of_kind,
    workloads,
)
from tests.kubernetes_settings import SECRETS, settings_of, with_secrets
from workers.settings import ArchiveSettings, DiffSettings

WORKLOADS = {each.name: each for each in workloads()}
STREAM = WORKLOADS["streakline-stream"]
SERVICES = of_kind(Service, "Service")

each_workload = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=list(WORKLOADS))


def names(*kinds: type[msgspec.Struct]) -> set[str]:
    own = {PREFIX + field.name.upper() for kind in kinds for field in fields(kind)}
    return own | {f"{name}_FILE" for name in own}


def volumes(workload: Workload) -> dict[str, Volume]:
    claimed = {each.metadata.name: Volume(name=each.metadata.name) for each in workload.spec.volume_claim_templates}
    return {each.name: each for each in workload.pod.volumes} | claimed


def mount_of(workload: Workload, path: str) -> Mount:
    (found,) = (
        mount for mount in workload.container.volume_mounts if PurePosixPath(path).is_relative_to(mount.mount_path)
    )
    return found


@each_workload
def test_a_variable_is_a_setting_of_the_command(workload: Workload) -> None:
    own = {each.name for each in workload.container.env} - {"HOME"}
    assert own <= names(*settings_of(workload))


def test_a_variable_that_all_are_told_is_a_setting_of_one() -> None:
    every = names(*(kind for workload in WORKLOADS.values() for kind in settings_of(workload)))
    (shared,) = (each for each in of_kind(ConfigMap, "ConfigMap") if "STREAKLINE_KAFKA_BOOTSTRAP" in each.data)
    assert set(shared.data) <= every


@each_workload
def test_its_settings_can_be_read(workload: Workload, tmp_path: Path) -> None:
    told = with_secrets(environ(workload), tmp_path)
    for kind in settings_of(workload):
        assert isinstance(load_settings(kind, told), kind)


def test_the_secrets_arrive(tmp_path: Path) -> None:
    kafka = load_settings(KafkaSettings, with_secrets(environ(STREAM), tmp_path))
    assert kafka.uses_sasl
    assert kafka.uses_tls
    assert kafka.kafka_sasl_password == SECRETS["kafka-password"]
    assert load_settings(StreamSettings, with_secrets(environ(STREAM), tmp_path)).redis_url == SECRETS["redis-url"]
    dashboard = with_secrets(environ(WORKLOADS["streakline-dashboard"]), tmp_path)
    assert place_of(load_settings(DashboardSettings, dashboard)).token == SECRETS["dashboard-token"]


@each_workload
def test_a_secret_that_is_named_is_there_and_no_other(workload: Workload) -> None:
    folder = "/run/secrets/streakline/"
    wanted = {
        value.removeprefix(folder)
        for name, value in environ(workload).items()
        if value.startswith(folder) and name in names(*settings_of(workload))
    }
    mounted = {
        f"{item.path}" for volume in workload.pod.volumes if volume.secret is not None for item in volume.secret.items
    }
    assert mounted == wanted
    assert wanted <= set(SECRETS)


def test_every_path_is_where_it_has_to_be() -> None:
    told = environ(STREAM)
    data = mount_of(STREAM, told["STREAKLINE_DATA_DIR"])
    assert not data.read_only
    assert [each.metadata.name for each in STREAM.spec.volume_claim_templates] == [data.name]
    for name, writes in (("archive", True), ("diff", True), ("dashboard", False)):
        workload = WORKLOADS[f"streakline-{name}"]
        lake = mount_of(workload, environ(workload)["STREAKLINE_LAKE"])
        assert lake.read_only is not writes
        claim = volumes(workload)[lake.name].persistent_volume_claim
        assert claim is not None
        assert (claim.claim_name, claim.read_only) == ("streakline-lake", not writes)
    diff = WORKLOADS["streakline-diff"]
    assert mount_of(diff, load_settings(DiffSettings, environ(diff)).roots[0]).read_only


def test_the_thresholds_are_read_as_they_are_shipped() -> None:
    assert load_policy(BASE / "thresholds.toml") == ThresholdPolicy()
    path = PurePosixPath(environ(STREAM)["STREAKLINE_THRESHOLDS"])
    source = volumes(STREAM)[mount_of(STREAM, str(path)).name].config_map
    assert source is not None
    (shipped,) = (each for each in of_kind(ConfigMap, "ConfigMap") if each.metadata.name == source.name)
    assert set(shipped.data) == {path.name}


@each_workload
def test_the_ports_are_those_that_it_listens_on(workload: Workload, tmp_path: Path) -> None:
    told, kinds = with_secrets(environ(workload), tmp_path), settings_of(workload)
    listens: dict[str, int] = {}
    if any("metrics_port" in {field.name for field in fields(kind)} for kind in kinds):
        listens["metrics"] = load_settings(ArchiveSettings, told).metrics_port or 0
    if DashboardSettings in kinds:
        listens["http"] = load_settings(DashboardSettings, told).dashboard_port
    assert {port.name: port.container_port for port in workload.container.ports} == listens
    asked = {probe.http_get.port for probe in workload.container.probes}
    assert asked == set(listens)
    assert len(workload.container.probes) == (0 if workload.kind == "Job" else 3)


@each_workload
def test_no_service_is_taken_for_a_setting(workload: Workload) -> None:
    """Kubernetes would say NAME_PORT=tcp://… of each, and one of ours is STREAKLINE_DASHBOARD_PORT."""
    said = {f"{each.metadata.name.upper().replace('-', '_')}_PORT" for each in SERVICES}
    assert said & names(DashboardSettings)
    assert not workload.pod.enable_service_links


def test_a_service_has_pods_and_asks_for_ports_that_they_have() -> None:
    for service in SERVICES:
        (workload,) = (each for each in WORKLOADS.values() if service.spec.selector.items() <= each.labels.items())
        assert {port.target_port for port in service.spec.ports} <= {port.name for port in workload.container.ports}
    assert STREAM.spec.service_name in {each.metadata.name for each in SERVICES}


def test_a_selector_is_that_of_one_workload() -> None:
    for workload in WORKLOADS.values():
        if workload.spec.selector is not None:
            selected = [each.name for each in WORKLOADS.values() if workload.spec.selector.selects(each.labels)]
            assert selected == [workload.name]
    budgets = [
        [each.name for each in WORKLOADS.values() if budget.spec.selector.selects(each.labels)]
        for budget in of_kind(Budget, "PodDisruptionBudget")
    ]
    # A budget of one that is alone would keep its node from ever being drained, or do nothing.
    assert sorted(budgets) == [["streakline-diff"], ["streakline-stream"]]


@each_workload
def test_it_may_do_nothing_that_it_need_not(workload: Workload) -> None:
    pod, container = workload.pod, workload.container
    assert pod.security_context["runAsNonRoot"]
    assert pod.security_context["runAsUser"] == pod.security_context["fsGroup"] > 0
    assert pod.security_context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container.security_context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not pod.automount_service_account_token
    accounts = {
        each.name
        for each in (msgspec.convert(m["metadata"], Named) for m in manifests(BASE) if m["kind"] == "ServiceAccount")
    }
    assert pod.service_account_name in accounts
    home = mount_of(workload, environ(workload)["HOME"])
    assert volumes(workload)[home.name].empty_dir is not None
    assert {mount.name for mount in container.volume_mounts} == set(volumes(workload))


@each_workload
def test_it_says_what_it_takes(workload: Workload) -> None:
    resources = workload.container.resources
    assert {"cpu", "memory"} <= set(resources.requests)
    assert "memory" in resources.limits
    assert ("nvidia.com/gpu" in resources.limits) == (environ(workload).get("STREAKLINE_DEVICE") == "cuda")


def test_a_stream_worker_is_given_the_time_that_a_silent_broker_takes() -> None:
    settings = StreamSettings()
    assert not {f"STREAKLINE_{name}_SECONDS" for name in ("BROKER_TIMEOUT", "SESSION_TIMEOUT")} & set(environ(STREAM))
    assert STREAM.pod.termination_grace_period_seconds > settings.broker_timeout_seconds


def test_there_are_partitions_for_every_worker() -> None:
    replicas = STREAM.spec.replicas
    assert replicas is not None
    assert 1 < replicas <= load_settings(TopicSettings, environ(STREAM)).partitions


def test_the_images_are_those_of_the_dockerfile_at_this_version() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    targets = set(re.findall(r"^FROM runtime AS (\w+)$", dockerfile, re.MULTILINE))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    used = {each.container.image for each in of_kind(Workload, "StatefulSet", "Deployment", "Job", folder=BASE)}
    assert used == {f"streakline-{target}:{version}" for target in targets}


@each_workload
def test_it_runs_as_the_image_has_it(workload: Workload) -> None:
    """Manifests give arguments and no command; the user is said again, for it owns the volumes."""
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    (user,) = re.findall(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
    context = workload.pod.security_context
    assert (str(context["runAsUser"]), str(context["runAsGroup"])) == user
    (entrypoint,) = re.findall(r"^ENTRYPOINT (.*)$", dockerfile, re.MULTILINE)
    assert msgspec.json.decode(entrypoint)[-1] == "streakline"
    assert streakline(*workload.container.args, "--help").code == 0
