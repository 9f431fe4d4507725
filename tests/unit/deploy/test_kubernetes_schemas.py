"""The manifests against the schemas of Kubernetes, KEDA and the Prometheus operator."""

import copy
from collections.abc import Callable

import pytest

from tests.kubernetes import BASE, EXAMPLE, Manifest, manifests
from tests.kubernetes_schemas import faults

ALL = manifests(EXAMPLE)


def called(kind: str, name: str) -> Manifest:
    (found,) = (copy.deepcopy(each) for each in ALL if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


@pytest.mark.parametrize("manifest", ALL, ids=lambda each: f"{each['kind']} {each['metadata']['name']}")
def test_nothing_is_wrong_or_unknown(manifest: Manifest) -> None:
    assert faults(manifest) == []


def test_the_base_is_part_of_the_example_and_needs_no_operator() -> None:
    kinds = {(each["apiVersion"], each["kind"]) for each in manifests(BASE)}
    assert kinds < {(each["apiVersion"], each["kind"]) for each in ALL}
    assert not [version for version, _ in kinds if "keda" in version or "coreos" in version]


def _misspelled(stream: Manifest) -> None:
    spec = stream["spec"]["template"]["spec"]
    spec["terminationGracePeriodSecond"] = spec.pop("terminationGracePeriodSeconds")


def _no_number(stream: Manifest) -> None:
    stream["spec"]["replicas"] = "three"


def _unknown_policy(stream: Manifest) -> None:
    stream["spec"]["podManagementPolicy"] = ["Parallel"]


def _deep(stream: Manifest) -> None:
    stream["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["paths"] = "/readyz"


@pytest.mark.parametrize("spoil", [_misspelled, _no_number, _unknown_policy, _deep])
def test_a_mistake_in_a_stateful_set_is_found(spoil: Callable[[Manifest], None]) -> None:
    stream = called("StatefulSet", "streakline-stream")
    spoil(stream)
    assert faults(stream)


def test_mistakes_in_what_operators_read_are_found() -> None:
    scaled = called("ScaledObject", "streakline-diff")
    scaled["spec"]["triggers"][0]["authenticationRef"]["nam"] = "streakline-kafka"
    monitor = called("PodMonitor", "streakline-diff")
    monitor["spec"]["podMetricsEndpoints"][0]["intervals"] = "4s"
    rule = called("PrometheusRule", "streakline")
    del rule["spec"]["groups"][0]["rules"][0]["expr"]
    assert [len(faults(each)) for each in (scaled, monitor, rule)] == [1, 1, 1]
