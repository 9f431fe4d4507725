"""What kustomize makes of deploy/kubernetes, as typed structs of what the tests look at."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from tests.documents import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"
EXAMPLE = KUBERNETES / "overlays" / "example"

Manifest = dict[str, Any]


class Camel(Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a manifest; what no test looks at is not here."""


class Metadata(Camel, frozen=True):
    name: str = ""
    labels: dict[str, str] = {}


class Selector(Camel, frozen=True):
    match_labels: dict[str, str] = {}

    def selects(self, labels: dict[str, str]) -> bool:
        return self.match_labels.items() <= labels.items()


class Variable(Camel, frozen=True):
    name: str
    value: str


class Named(Camel, frozen=True):
    name: str


class Source(Camel, frozen=True):
    config_map_ref: Named


class ContainerPort(Camel, frozen=True):
    name: str
    container_port: int


class HttpGet(Camel, frozen=True):
    path: str
    port: str


class Probe(Camel, frozen=True):
    http_get: HttpGet


class Mount(Camel, frozen=True):
    name: str
    mount_path: str
    read_only: bool = False


class Resources(Camel, frozen=True):
    requests: dict[str, str]
    limits: dict[str, str]


class Container(Camel, frozen=True):
    name: str
    image: str
    args: list[str]
    env: list[Variable]
    env_from: list[Source]
    volume_mounts: list[Mount]
    resources: Resources
    security_context: dict[str, Any]
    ports: list[ContainerPort] = []
    startup_probe: Probe | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None

    @property
    def probes(self) -> list[Probe]:
        each = (self.startup_probe, self.liveness_probe, self.readiness_probe)
        return [probe for probe in each if probe is not None]


class Item(Camel, frozen=True):
    key: str
    path: str


class SecretVolume(Camel, frozen=True):
    secret_name: str
    items: list[Item]


class Claim(Camel, frozen=True):
    claim_name: str
    read_only: bool = False


class Volume(Camel, frozen=True):
    name: str
    secret: SecretVolume | None = None
    config_map: Named | None = None
    persistent_volume_claim: Claim | None = None
    empty_dir: dict[str, str] | None = None


class PodSpec(Camel, frozen=True):
    containers: list[Container]
    volumes: list[Volume]
    service_account_name: str
    automount_service_account_token: bool
    enable_service_links: bool
    security_context: dict[str, Any]
    termination_grace_period_seconds: int = 30


class Template(Camel, frozen=True):
    metadata: Metadata
    spec: PodSpec


class ClaimTemplate(Camel, frozen=True):
    metadata: Metadata


class WorkloadSpec(Camel, frozen=True):
    template: Template
    selector: Selector | None = None
    replicas: int | None = None
    service_name: str | None = None
    volume_claim_templates: list[ClaimTemplate] = []


class Workload(Camel, frozen=True):
    """A StatefulSet, a Deployment or a Job."""

    kind: str
    metadata: Metadata
    spec: WorkloadSpec

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def labels(self) -> dict[str, str]:
        """Of its pods."""
        return self.spec.template.metadata.labels

    @property
    def pod(self) -> PodSpec:
        return self.spec.template.spec

    @property
    def container(self) -> Container:
        """The only one of a pod."""
        (container,) = self.pod.containers
        return container


class ServicePort(Camel, frozen=True):
    name: str
    port: int
    target_port: str


class ServiceSpec(Camel, frozen=True):
    selector: dict[str, str]
    ports: list[ServicePort]


class Service(Camel, frozen=True):
    metadata: Metadata
    spec: ServiceSpec


class ConfigMap(Camel, frozen=True):
    metadata: Metadata
    data: dict[str, str]


class BudgetSpec(Camel, frozen=True):
    selector: Selector


class Budget(Camel, frozen=True):
    spec: BudgetSpec


class PolicyPort(Camel, frozen=True):
    port: int | str
    end_port: int | None = None
    protocol: Literal["TCP", "UDP"] = "TCP"

    def takes(self, port: int | str) -> bool:
        if isinstance(port, int) and isinstance(self.port, int):
            return self.port <= port <= (self.end_port or self.port)
        return port == self.port


class PolicyRule(Camel, frozen=True):
    ports: list[PolicyPort]


class PolicySpec(Camel, frozen=True):
    pod_selector: Selector
    policy_types: list[Literal["Ingress", "Egress"]]
    ingress: list[PolicyRule] = []
    egress: list[PolicyRule] = []


class Policy(Camel, frozen=True):
    metadata: Metadata
    spec: PolicySpec


T = TypeVar("T")


def kubectl_kustomize(folder: Path) -> str:
    """What would be applied of `folder`; kubectl is the one that is installed beside this Python."""
    ended = subprocess.run(
        [Path(sys.executable).parent / "kubectl", "kustomize", folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@cache
def manifests(folder: Path) -> tuple[Manifest, ...]:
    """Of `folder`, each as it is."""
    return tuple(msgspec.yaml.decode(text, type=Manifest) for text in kubectl_kustomize(folder).split("\n---\n"))


def of_kind(kind: type[T], *kinds: str, folder: Path = EXAMPLE) -> list[T]:
    """All manifests of these kinds."""
    return [msgspec.convert(each, kind) for each in manifests(folder) if each["kind"] in kinds]


def workloads(folder: Path = EXAMPLE) -> list[Workload]:
    """Whatever has pods."""
    return of_kind(Workload, "StatefulSet", "Deployment", "Job", folder=folder)


def environ(workload: Workload, folder: Path = EXAMPLE) -> dict[str, str]:
    """What its container finds in its environment."""
    maps = {each.metadata.name: each.data for each in of_kind(ConfigMap, "ConfigMap", folder=folder)}
    told: dict[str, str] = {}
    for source in workload.container.env_from:
        told |= maps[source.config_map_ref.name]
    return told | {each.name: each.value for each in workload.container.env}
