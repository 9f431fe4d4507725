"""What the stream workers show of live runs in Redis: their part of the pipeline."""

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel
from grafana_foundation_sdk.models.units import Short

from deploy.grafana.panels import graph, number
from deploy.grafana.placing import Place, colors
from deploy.grafana.queries import at_the_end, over_time
from producers.metrics import LIVE_AWAY, LIVE_BATCHES, LIVE_FAILURES


def live_panels() -> tuple[Builder[Panel], ...]:
    """The panels, in their order."""
    return _batches(), _away()


def _batches() -> timeseries.Panel:
    return graph(
        Place(
            "Batches of live runs",
            "Written in the minute before: up to sixty a run that steps; and how often Redis was away or refused some.",
            width=18,
            height=8,
            unit=Short,
        ),
        over_time(f"sum(increase({LIVE_BATCHES.name}[1m]))", "written"),
        over_time(f"sum(increase({LIVE_FAILURES.name}[1m]))", "failed"),
    ).min(0)


def _away() -> stat.Panel:
    return number(
        Place(
            "Workers without Redis",
            "They judge all the same, and show nothing of live runs until it is back. Their logs say why.",
            width=6,
            height=8,
            unit=Short,
        ),
        at_the_end(f"sum({LIVE_AWAY.name})", "without"),
        steps=colors("green", (1, "orange")),
    )
