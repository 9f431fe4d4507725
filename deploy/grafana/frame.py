"""What the dashboards have in common: their identity, the data source's variable, the links between them, rows."""

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, DatasourceVariable, Row
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType, Panel

TAG = "streakline"

FLEET_UID = "streakline-fleet"
RUN_UID = "streakline-run"
PIPELINE_UID = "streakline-pipeline"

RUN_URL = f"/d/{RUN_UID}?${{__url_time_range}}&var-datasource=${{datasource}}&var-run_id=${{__value.raw}}"
"""where a cell that holds a run id leads; every character of a run id stands for itself in a query string"""


def framed(uid: str, title: str, description: str, *, hours: int) -> Dashboard:
    """An empty dashboard of the last `hours`."""
    others = DashboardLink("Streakline").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time(f"now-{hours}h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(others.keep_time(True).include_vars(True))
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )


def open_row(dashboard: Dashboard, title: str, *panels: Builder[Panel]) -> None:
    """Add a row whose panels are shown at once."""
    dashboard.with_row(Row(title))
    for panel in panels:
        dashboard.with_panel(panel)


def folded_row(dashboard: Dashboard, title: str, *panels: Builder[Panel]) -> None:
    """Add a row whose panels are asked for when somebody opens it."""
    row = Row(title)
    for panel in panels:
        row.with_panel(panel)
    dashboard.with_row(row)
