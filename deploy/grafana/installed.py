"""The part of the pipeline that installed packages bring."""

from grafana_foundation_sdk.builders import table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel
from grafana_foundation_sdk.models.units import Short

from deploy.grafana.panels import graph
from deploy.grafana.placing import Place
from deploy.grafana.queries import over_time, rows
from deploy.grafana.tables import Column, ranked
from producers.metrics import DETECTOR_FAILURES, DETECTOR_INFO


def installed_panels() -> tuple[Builder[Panel], ...]:
    """The panels, in their order."""
    return _installed(), _failures()


def _installed() -> table.Panel:
    return ranked(
        Place(
            "Installed detectors",
            "How many workers have each, by the version of its package. Fewer than there are workers: whether a run "
            "has its signals depends on the worker.",
            width=12,
            height=8,
            unit=Short,
        ),
        [rows(f"count by (type, version) ({DETECTOR_INFO.name})")],
        [Column("type", "Detector"), Column("version", "Version"), Column("Value", "Workers")],
        by="Detector",
        nothing="none installed",
    )


def _failures() -> timeseries.Panel:
    return graph(
        Place(
            "Failures of installed detectors",
            "Steps in the hour before that a detector failed on, and said nothing of. The log of a worker has the "
            "first; mend the package.",
            width=12,
            height=8,
            unit=Short,
        ),
        over_time(f"sum by (type) (increase({DETECTOR_FAILURES.name}[1h]))", "{{type}}"),
    ).min(0)
