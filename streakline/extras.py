"""What the base install leaves out."""

from importlib.util import find_spec

_ARCHIVE = ("pyarrow", "prometheus_client")
_WORKERS = ("torch", "transformers", "safetensors", "peft", "pyarrow", "redis", "prometheus_client")


def missing_for_diffs() -> str | None:
    """The first module of the extra `workers` that is not installed; imports none."""
    return _missing(_WORKERS)


def missing_for_archive() -> str | None:
    """The first of those that is needed for the archive: it wants no torch."""
    return _missing(_ARCHIVE)


def _missing(modules: tuple[str, ...]) -> str | None:
    return next((name for name in modules if find_spec(name) is None), None)
