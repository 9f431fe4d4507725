"""What KEDA, the Prometheus operator and Grafana are told, held against the topics, the rules and the dashboards."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from deploy.kubernetes.build import SHIPPED, prometheus_rule
from producers.settings import load_settings
from producers.topics import TopicSettings, diff_group, topic_names
from tests.alerting import PROMETHEUS, run
from tests.dashboards import SHIPPED as DASHBOARDS
from tests.kubernetes import (
    EXAMPLE,
    Camel,
    ConfigMap,
    Metadata,
    Selector,
    Workload,
    environ,
    manifests,
    of_kind,
    workloads,
)

ALL = manifests(EXAMPLE)
DIFF = next(each for each in workloads() if each.name == "streakline-diff")


class Relabeling(Camel, frozen=True):
    target_label: str
    replacement: str


class Endpoint(Camel, frozen=True):
    port: str
    interval: str
    scrape_timeout: str
    relabelings: list[Relabeling]


class MonitorSpec(Camel, frozen=True):
    selector: Selector
    pod_metrics_endpoints: list[Endpoint]


class Monitor(Camel, frozen=True):
    metadata: Metadata
    spec: MonitorSpec


class Global(Camel, frozen=True, rename=None):
    scrape_interval: str


class Job(Camel, frozen=True, rename=None):
    job_name: str


class PrometheusConfig(Camel, frozen=True, rename={"global_": "global"}):
    global_: Global
    scrape_configs: list[Job]


class Target(Camel, frozen=True):
    name: str
    env_source_container_name: str


class Trigger(Camel, frozen=True):
    type: str
    metadata: dict[str, str]
    authentication_ref: Metadata


class ScaledSpec(Camel, frozen=True):
    scale_target_ref: Target
    min_replica_count: int
    max_replica_count: int
    triggers: list[Trigger]


class Scaled(Camel, frozen=True):
    spec: ScaledSpec


class FromSecret(Camel, frozen=True):
    parameter: str
    name: str
    key: str


class FromEnvironment(Camel, frozen=True):
    parameter: str
    name: str
    container_name: str


class AuthenticationSpec(Camel, frozen=True):
    env: list[FromEnvironment]
    secret_target_ref: list[FromSecret]


class Authentication(Camel, frozen=True):
    metadata: Metadata
    spec: AuthenticationSpec


def one(kind: str) -> Mapping[str, Any]:
    (found,) = (each for each in ALL if each["kind"] == kind)
    return found


def test_the_rules_are_those_of_prometheus() -> None:
    assert SHIPPED.read_text() == prometheus_rule(), "run `make docs`"
    files = [msgspec.yaml.decode(path.read_bytes()) for path in sorted((PROMETHEUS / "rules").iterdir())]
    assert one("PrometheusRule")["spec"]["groups"] == [group for file in files for group in file["groups"]]


def test_every_job_that_the_rules_ask_for_is_scraped_as_often_as_they_expect() -> None:
    config = msgspec.yaml.decode((PROMETHEUS / "prometheus.yml").read_bytes(), type=PrometheusConfig)
    jobs: dict[str, Workload] = {}
    for monitor in of_kind(Monitor, "PodMonitor"):
        (endpoint,) = monitor.spec.pod_metrics_endpoints
        assert endpoint.interval == endpoint.scrape_timeout == config.global_.scrape_interval
        (workload,) = (each for each in workloads() if monitor.spec.selector.selects(each.labels))
        assert endpoint.port in {port.name for port in workload.container.ports}
        (job,) = endpoint.relabelings
        assert job.target_label == "job"
        jobs[job.replacement] = workload
    assert set(jobs) == {each.job_name for each in config.scrape_configs}
    commands = {job: workload.container.args for job, workload in jobs.items()}
    assert commands == {"streakline": ["stream"], "streakline-diff": ["diff-worker"], "streakline-archive": ["archive"]}


def test_prometheus_finds_all_of_it() -> None:
    looked_for = {"release": "kube-prometheus-stack"}
    assert [each["metadata"]["labels"] for each in ALL if "monitoring" in each["apiVersion"]] == [looked_for] * 4


def test_the_dashboards_are_those_of_grafana() -> None:
    (shipped,) = (each for each in of_kind(ConfigMap, "ConfigMap") if "grafana_dashboard" in each.metadata.labels)
    assert shipped.data == {path.name: path.read_text() for path in DASHBOARDS.iterdir()}
    # What the API server keeps of a ConfigMap at most, and of what `apply` notes down without --server-side.
    assert len(json.dumps(shipped.data)) < 256 << 10


def test_keda_asks_for_the_lag_of_the_diff_workers() -> None:
    (scaled,) = of_kind(Scaled, "ScaledObject")
    topics = load_settings(TopicSettings, environ(DIFF))
    target, (trigger,) = scaled.spec.scale_target_ref, scaled.spec.triggers
    assert (target.name, target.env_source_container_name) == (DIFF.name, DIFF.container.name)
    assert DIFF.spec.replicas is None
    assert trigger.type == "kafka"
    assert trigger.metadata["consumerGroup"] == diff_group(topics)
    assert trigger.metadata["topic"] == topic_names(topics).runs
    assert trigger.metadata["bootstrapServersFromEnv"] in environ(DIFF)
    assert scaled.spec.min_replica_count == 0
    assert scaled.spec.max_replica_count <= topics.partitions


def test_keda_is_let_in_as_the_diff_workers_are() -> None:
    (scaled,), (authentication,) = of_kind(Scaled, "ScaledObject"), of_kind(Authentication, "TriggerAuthentication")
    (trigger,) = scaled.spec.triggers
    assert trigger.authentication_ref.name == authentication.metadata.name
    told = environ(DIFF)
    assert trigger.metadata["sasl"] == told["STREAKLINE_KAFKA_SASL_MECHANISM"].lower().replace("-sha-", "_sha")
    assert (trigger.metadata["tls"] == "enable") == told["STREAKLINE_KAFKA_SECURITY_PROTOCOL"].endswith("SSL")
    (user,) = authentication.spec.env
    assert (user.parameter, user.container_name) == ("username", DIFF.container.name)
    assert user.name in told
    (secret,) = (volume.secret for volume in DIFF.pod.volumes if volume.secret is not None)
    mounted = {f"/run/secrets/streakline/{item.path}": item.key for item in secret.items}
    keys = {each.parameter: (each.name, each.key) for each in authentication.spec.secret_target_ref}
    assert keys == {
        "password": (secret.secret_name, mounted[told["STREAKLINE_KAFKA_SASL_PASSWORD_FILE"]]),
        "ca": (secret.secret_name, mounted[told["STREAKLINE_KAFKA_SSL_CA"]]),
    }


def test_promtool_reads_the_rules(tmp_path: Any) -> None:
    path = tmp_path / "rules.yml"
    path.write_bytes(msgspec.yaml.encode(one("PrometheusRule")["spec"]))
    run("promtool", "check", "rules", path)
