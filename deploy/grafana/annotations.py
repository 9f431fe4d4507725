"""Marks on the graphs at the moments of a run's signals."""

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import AnnotationQuery

from deploy.grafana.placing import DATASOURCE
from deploy.grafana.promql import per
from producers.events import Severity
from producers.metrics import RUN_SIGNAL_LAST


class SignalMarks(Builder[AnnotationQuery]):
    """A mark for each signal of one severity of the run ``$run_id``.

    The series' values, in milliseconds, are the moments (`useValueForTime`): a mark is where the signal was, however
    late it was scraped. Of two signals of the same type within one step of the query only the later is marked.
    """

    def __init__(self, severity: Severity, color: str) -> None:
        self._severity = severity
        self._color = color

    def build(self) -> AnnotationQuery:
        """The query, switched on."""
        selector = f'{RUN_SIGNAL_LAST.name}{{run_id="$run_id",severity="{self._severity}"}}'
        return _PrometheusAnnotation(
            name=f"{self._severity} signals".capitalize(),
            datasource=DATASOURCE,
            icon_color=self._color,
            expr=f"1000 * {per('type', selector)}",
        )


class _PrometheusAnnotation(AnnotationQuery):
    """With the fields that Grafana's Prometheus data source reads and the SDK has no names for."""

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), "titleFormat": "{{type}}", "step": "4s", "useValueForTime": True}
