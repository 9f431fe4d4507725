"""What the base install leaves out."""

from importlib.util import find_spec

_WORKERS = ("torch", "transformers", "safetensors", "peft", "pyarrow", "redis", "prometheus_client")


def missing_for_diffs() -> str | None:
    """The first module of the extra `workers` that is not installed; imports none."""
    return next((name for name in _WORKERS if find_spec(name) is None), None)
