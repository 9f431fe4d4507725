"""The network policies: each pod reaches what its settings name, is reached by who asks it, and nothing else."""

from urllib.parse import urlsplit

import pytest

from producers.kafka import KafkaSettings
from producers.redis.settings import RedisSettings
from producers.settings import load_settings
from tests.kubernetes import Policy, Workload, environ, of_kind, workloads
from tests.kubernetes_settings import SECRETS, settings_of

POLICIES = of_kind(Policy, "NetworkPolicy")
WORKLOADS = workloads()

DNS = 53

each_workload = pytest.mark.parametrize("workload", WORKLOADS, ids=[each.name for each in WORKLOADS])


def opened(workload: Workload, port: int | str, direction: str) -> bool:
    return any(
        each.takes(port)
        for policy in POLICIES
        if policy.spec.pod_selector.selects(workload.labels)
        for rule in (policy.spec.egress if direction == "Egress" else policy.spec.ingress)
        for each in rule.ports
    )


def kafka_port(workload: Workload) -> int:
    bootstrap = environ(workload)["STREAKLINE_KAFKA_BOOTSTRAP"]
    return int(bootstrap.rpartition(":")[2])


def test_whatever_is_not_allowed_is_denied() -> None:
    (nothing,) = (policy for policy in POLICIES if policy.spec.pod_selector.match_labels == {})
    assert sorted(nothing.spec.policy_types) == ["Egress", "Ingress"]
    assert nothing.spec.ingress == nothing.spec.egress == []


def test_a_policy_says_for_which_direction_it_is_and_has_pods() -> None:
    for policy in POLICIES:
        assert [workload for workload in WORKLOADS if policy.spec.pod_selector.selects(workload.labels)]
        assert not policy.spec.ingress or policy.spec.policy_types == ["Ingress"]
        assert not policy.spec.egress or policy.spec.policy_types == ["Egress"]


@each_workload
def test_it_reaches_what_its_settings_name(workload: Workload) -> None:
    kinds = settings_of(workload)
    assert opened(workload, DNS, "Egress")
    assert opened(workload, kafka_port(workload), "Egress") == (KafkaSettings in kinds)
    redis = any(issubclass(kind, RedisSettings) for kind in kinds)
    ports = (urlsplit(SECRETS["redis-url"]).port, urlsplit(load_settings(RedisSettings, {}).redis_url).port)
    assert [opened(workload, port or 0, "Egress") for port in ports] == [redis, redis]
    assert not opened(workload, 443, "Egress")


@each_workload
def test_it_is_reached_on_its_own_ports_only(workload: Workload) -> None:
    own = {port.name for port in workload.container.ports}
    assert {port for port in ("metrics", "http") if opened(workload, port, "Ingress")} == own
