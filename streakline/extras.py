"""What the base install leaves out."""

from importlib.util import find_spec

_ARCHIVE = ("pyarrow", "prometheus_client")
_QUERIES = ("pyarrow", "duckdb")
_REPORTS = (*_QUERIES, "jinja2")
_DASHBOARD = (*_REPORTS, "aiohttp", "redis")
_WORKERS = ("torch", "transformers", "safetensors", "peft", "pyarrow", "redis", "prometheus_client")


def missing_for_diffs() -> str | None:
    """The first module of the extra `workers` that is not installed; imports none."""
    return _missing(_WORKERS)


def missing_for_archive() -> str | None:
    """The first of those that is needed for the archive: it wants no torch."""
    return _missing(_ARCHIVE)


def missing_for_queries() -> str | None:
    """The first of those that are needed to ask the lake."""
    return _missing(_QUERIES)


def missing_for_report() -> str | None:
    """The first of those that are needed for a report."""
    return _missing(_REPORTS)


def missing_for_dashboard() -> str | None:
    """The first of those that are needed for the dashboard."""
    return _missing(_DASHBOARD)


def _missing(modules: tuple[str, ...]) -> str | None:
    return next((name for name in modules if find_spec(name) is None), None)
