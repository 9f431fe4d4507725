"""Every command and snippet of docs/kubernetes.md that needs no cluster, run; the others are looked at."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec

from producers.kafka import KafkaSettings
from producers.settings import load_settings
from stream_app.engine.thresholds import parse_policy
from tests.documents import ROOT, blocks, links
from tests.kubernetes import (
    KUBERNETES,
    ConfigMap,
    Manifest,
    Policy,
    Service,
    Workload,
    environ,
    kubectl_kustomize,
    manifests,
    of_kind,
    workloads,
)
from tests.kubernetes_schemas import faults
from tests.kubernetes_settings import SECRETS

DOCUMENT = (ROOT / "docs" / "kubernetes.md").read_text()
CREATE, OVERLAY, FORWARD = blocks(DOCUMENT, "sh")
SNIPPETS = blocks(DOCUMENT, "yaml")
MORE, THRESHOLDS, NO_PASSWORDS, OBJECT_STORE, BY_NAMESPACE = (text for text in SNIPPETS if "apiVersion" not in text)
INGRESS, PROMETHEUS = (msgspec.yaml.decode(text, type=Manifest) for text in SNIPPETS if "apiVersion" in text)
KUBECTL = str(Path(sys.executable).parent / "kubectl")


def ran(line: str, folder: Path, *more: str) -> str:
    program, *arguments = shlex.split(line)
    command = [KUBECTL if program == "kubectl" else program, *arguments, *more]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def changed(snippet: str, folder: Path) -> Path:
    """An overlay of the example with the snippet in it, laid where the repository's folders are."""
    shutil.copytree(ROOT / "deploy", folder / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    overlay = folder / "deploy" / "kubernetes" / "overlays" / "mine"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(f"namespace: streakline\nresources: [../example]\n{snippet}")
    return overlay


def checked(snippet: str, folder: Path) -> Path:
    overlay = changed(snippet, folder)
    assert [fault for manifest in manifests(overlay) for fault in faults(manifest)] == []
    return overlay


def told(name: str, overlay: Path) -> dict[str, str]:
    (workload,) = (each for each in workloads(overlay) if each.name == name)
    return environ(workload, overlay)


def test_the_secret_has_what_the_pods_mount(tmp_path: Path) -> None:
    for name, text in SECRETS.items():
        (tmp_path / name).write_text(text)
    namespace, secret = CREATE.splitlines()
    made = [msgspec.yaml.decode(ran(line, tmp_path, "--dry-run=client", "-o", "yaml")) for line in (namespace, secret)]
    assert [faults(each) for each in made] == [[], []]
    assert (made[0]["metadata"]["name"], made[1]["metadata"]["namespace"]) == ("streakline", "streakline")
    assert set(made[1]["data"]) == set(SECRETS)
    mounted = {volume.secret.secret_name for each in workloads() for volume in each.pod.volumes if volume.secret}
    assert mounted == {made[1]["metadata"]["name"]}
    assert set(re.findall(r"^\| `([\w.-]+)` \| (?:of|the|what) ", DOCUMENT, re.MULTILINE)) == set(SECRETS)


def test_a_copy_of_the_example_is_the_example(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    copy, build, apply = OVERLAY.splitlines()
    ran(copy, tmp_path)
    assert ran(build, tmp_path) == kubectl_kustomize(KUBERNETES / "overlays" / "example")
    assert shlex.split(apply)[-1] == shlex.split(build)[-1]


def test_more_workers(tmp_path: Path) -> None:
    (stream,) = of_kind(Workload, "StatefulSet", folder=checked(MORE, tmp_path))
    assert stream.spec.replicas == 6


def test_other_thresholds(tmp_path: Path) -> None:
    maps = of_kind(ConfigMap, "ConfigMap", folder=checked(THRESHOLDS, tmp_path))
    (text,) = (each.data["thresholds.toml"] for each in maps if "thresholds.toml" in each.data)
    assert parse_policy(text.encode()).projects["assistant"].divergence_rise == 1.0
    assert tomllib.loads(text).keys() == {"projects"}


def test_a_kafka_without_passwords(tmp_path: Path) -> None:
    overlay = checked(NO_PASSWORDS, tmp_path)
    kafka = load_settings(KafkaSettings, told("streakline-stream", overlay))
    assert not kafka.uses_sasl
    assert not kafka.uses_tls
    (trigger,) = next(each for each in manifests(overlay) if each["kind"] == "ScaledObject")["spec"]["triggers"]
    assert "authenticationRef" not in trigger
    assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == ("none", "disable")


def test_models_in_an_object_store(tmp_path: Path) -> None:
    overlay = checked(OBJECT_STORE, tmp_path)
    assert told("streakline-diff", overlay)["STREAKLINE_MODEL_ROOTS"] == "s3://models"
    (kafka,) = (each for each in of_kind(Policy, "NetworkPolicy", folder=overlay) if "kafka" in each.metadata.name)
    assert [port.takes(443) for rule in kafka.spec.egress for port in rule.ports] == [False, True]


def test_brokers_by_their_namespace(tmp_path: Path) -> None:
    overlay = checked(BY_NAMESPACE, tmp_path)
    (policy,) = (
        each
        for each in manifests(overlay)
        if each["metadata"]["name"] == "streakline-kafka" and each["kind"] == "NetworkPolicy"
    )
    assert len(policy["spec"]["egress"][0]["to"]) == 1


def test_the_ingress_and_the_prometheus_of_the_page() -> None:
    assert faults(INGRESS) == faults(PROMETHEUS) == []
    backend = INGRESS["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    (service,) = (each for each in of_kind(Service, "Service") if each.metadata.name == backend["name"])
    assert backend["port"]["name"] in {port.name for port in service.spec.ports}
    assert f"service/{service.metadata.name} 8800:{service.spec.ports[0].port}" in FORWARD


def test_the_page_lists_all_pods() -> None:
    rows = re.findall(r"^\| `(streakline-\w+)` \| `([\w -]+)` \| .* \| `([\w-]+)` \|$", DOCUMENT, re.MULTILINE)
    there = {each.name: (" ".join(each.container.args), each.container.image) for each in workloads()}
    assert {name: (command, image) for name, command, image in rows} == {
        name: (command, image.rpartition("/")[2].partition(":")[0]) for name, (command, image) in there.items()
    }


def test_what_the_page_names_is_there() -> None:
    for path in links(DOCUMENT):
        assert (ROOT / "docs" / path).exists()
    for path in re.findall(r"`(deploy/[\w./-]+|(?:base|components|overlays)/[\w./-]+)`", DOCUMENT):
        root = ROOT if path.startswith("deploy") else KUBERNETES
        assert (root / path.replace("overlays/mine", "overlays/example")).exists()
