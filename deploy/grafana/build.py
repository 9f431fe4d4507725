"""`python -m deploy.grafana.build` writes `dashboards/*.json` anew, the same bytes each time."""

from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import RowPanel

from deploy.grafana.fleet import fleet
from deploy.grafana.pipeline import pipeline
from deploy.grafana.run import run

SHIPPED = Path(__file__).parent / "dashboards"


def dashboard_files() -> dict[str, str]:
    """The name and the text of every file."""
    return {f"{name}.json": _text(make()) for name, make in (("fleet", fleet), ("run", run), ("pipeline", pipeline))}


def _text(builder: Dashboard) -> str:
    dashboard = builder.build()
    panel_id = 0
    for panel in dashboard.panels or []:
        inner = panel.panels if isinstance(panel, RowPanel) else []
        for one in (panel, *inner):
            panel_id += 1
            one.id_val = panel_id
    return JSONEncoder(sort_keys=True, indent=2).encode(dashboard) + "\n"


if __name__ == "__main__":
    for name, text in dashboard_files().items():
        (SHIPPED / name).write_text(text)
