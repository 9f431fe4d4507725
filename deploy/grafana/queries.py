"""The three ways a panel asks Prometheus."""

from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode


def over_time(expression: str, legend: str) -> Dataquery:
    """A series for each set of labels, over the dashboard's time range."""
    return _query(expression).legend_format(legend).range()


def at_the_end(expression: str, legend: str) -> Dataquery:
    """One value for each set of labels, at the end of the time range."""
    return _query(expression).legend_format(legend).instant()


def rows(expression: str) -> Dataquery:
    """A table's row for each set of labels, at the end of the time range."""
    return _query(expression).format(PromQueryFormat.TABLE).instant()


def _query(expression: str) -> Dataquery:
    return Dataquery().expr(expression).editor_mode(QueryEditorMode.CODE)
