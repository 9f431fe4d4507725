"""The diff workers' part of the pipeline."""

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel
from grafana_foundation_sdk.models.units import Seconds, Short

from deploy.grafana.panels import graph, number
from deploy.grafana.placing import Place, colors
from deploy.grafana.queries import at_the_end, over_time
from producers.metrics import DIFF_JOBS, DIFF_LAST_SUCCESS, DIFF_QUEUE


def diff_panels() -> tuple[Builder[Panel], ...]:
    """The panels, in their order."""
    return _queue(), _last_success(), _jobs()


def _queue() -> timeseries.Panel:
    return graph(
        Place(
            "Waiting model diffs",
            "Completed runs whose model diff waits. A queue that only grows needs another diff worker.",
            width=9,
            height=8,
            unit=Short,
        ),
        over_time(f"sum({DIFF_QUEUE.name})", "waiting"),
    ).min(0)


def _last_success() -> stat.Panel:
    return number(
        Place(
            "Since the last success",
            "Since a model diff last succeeded, or since the worker started. Much over half an hour while some wait: "
            "look in its log at what it does.",
            width=5,
            height=8,
            unit=Seconds,
        ),
        at_the_end(f"time() - max({DIFF_LAST_SUCCESS.name})", "ago"),
        nothing="no diff worker",
        steps=colors("text", (1800, "orange")),
    )


def _jobs() -> timeseries.Panel:
    return graph(
        Place(
            "Model diffs that ended",
            "In the hour before, by result. When most of them fail it is the worker or its storage, not the models.",
            width=10,
            height=8,
            unit=Short,
        ),
        over_time(f"sum by (result) (increase({DIFF_JOBS.name}[1h]))", "{{result}}"),
    ).min(0)
