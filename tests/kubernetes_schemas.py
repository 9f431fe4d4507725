"""The schemas of Kubernetes and of its operators, from packages of PyPI: no cluster is asked."""

import importlib
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

Manifest = dict[str, Any]

_MODULES = {
    "v1": "kubernetes.core.v1",
    "apps/v1": "kubernetes.apps.v1",
    "batch/v1": "kubernetes.batch.v1",
    "networking.k8s.io/v1": "kubernetes.networking.v1",
    "policy/v1": "kubernetes.policy.v1",
    "keda.sh/v1alpha1": "keda.v1alpha1",
    "monitoring.coreos.com/v1": "prometheus_operator.v1",
}


def faults(manifest: Manifest) -> list[str]:
    """What the API server would have against it, and what it would drop: fields that it does not know."""
    validator = _validator(manifest["apiVersion"], manifest["kind"])
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]


@cache
def _validator(api_version: str, kind: str) -> Draft202012Validator:
    # Not imported: these are megabytes of types, which mypy would read.
    model = getattr(importlib.import_module(f"cloudcoil.models.{_MODULES[api_version]}"), kind)
    schema = model.model_json_schema()
    return Draft202012Validator(_strict(schema))


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(each) for name, each in schema.items()}
    if isinstance(strict.get("properties"), dict) and strict.get("type") == "object":
        strict.setdefault("additionalProperties", False)
    return strict
