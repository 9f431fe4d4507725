"""`python -m deploy.kubernetes.build` writes the PrometheusRule anew from `deploy/prometheus/rules`."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

_HERE = Path(__file__).parent
RULES = _HERE.parent / "prometheus" / "rules"
SHIPPED = _HERE / "components" / "monitoring" / "prometheus-rule.yaml"
_HEADER = "# Made from deploy/prometheus/rules by `make docs`: change it there.\n"


class RuleFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A file of Prometheus; a rule is whatever it is there."""

    groups: list[dict[str, Any]]


class Metadata(Struct, frozen=True):
    """What the rules are called, and found by."""

    name: str
    labels: dict[str, str]


class PrometheusRule(Struct, frozen=True, rename="camel", kw_only=True):
    """The resource of the Prometheus operator."""

    api_version: str = "monitoring.coreos.com/v1"
    kind: str = "PrometheusRule"
    metadata: Metadata
    spec: RuleFile


def prometheus_rule() -> str:
    """The text of the file: all groups of all files, in the order of their names."""
    files = [msgspec.yaml.decode(path.read_bytes(), type=RuleFile) for path in sorted(RULES.glob("*.yml"))]
    rule = PrometheusRule(
        metadata=Metadata(name="streakline", labels={"release": "kube-prometheus-stack"}),
        spec=RuleFile([group for file in files for group in file.groups]),
    )
    return _HEADER + msgspec.yaml.encode(rule).decode()


if __name__ == "__main__":
    SHIPPED.write_text(prometheus_rule())
