"""The archivers' part of the pipeline."""

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel
from grafana_foundation_sdk.models.units import BytesIEC, Short

from deploy.grafana.panels import graph, number
from deploy.grafana.placing import Place, colors
from deploy.grafana.queries import at_the_end, over_time
from producers.metrics import (
    ARCHIVE_HELD_BYTES,
    ARCHIVE_LAG,
    ARCHIVE_SKIPPED,
    ARCHIVE_WAITING,
    ARCHIVED_BYTES,
    ARCHIVED_RECORDS,
)


def archive_panels() -> tuple[Builder[Panel], ...]:
    """The panels, in their order."""
    return _records(), _bytes(), _waiting()


def _records() -> timeseries.Panel:
    return graph(
        Place(
            "Archived records",
            "In the five minutes before, by topic; those that are no event and have no row; those not in the lake yet.",
            width=10,
            height=8,
            unit=Short,
        ),
        over_time(f"sum by (topic) (increase({ARCHIVED_RECORDS.name}[5m]))", "{{topic}}"),
        over_time(f"sum by (topic) (increase({ARCHIVE_SKIPPED.name}[5m]))", "{{topic}}, no event"),
        over_time(f"sum by (topic) ({ARCHIVE_LAG.name})", "{{topic}}, not yet"),
    ).min(0)


def _bytes() -> timeseries.Panel:
    return graph(
        Place(
            "Archived bytes",
            "Held in memory until a file is due, as they came, and written as Parquet in the hour before.",
            width=9,
            height=8,
            unit=BytesIEC,
        ),
        over_time(f"sum({ARCHIVE_HELD_BYTES.name})", "held"),
        over_time(f"sum(increase({ARCHIVED_BYTES.name}[1h]))", "written"),
    ).min(0)


def _waiting() -> stat.Panel:
    return number(
        Place(
            "Archivers that wait",
            "For a lake or a broker that fails. Nothing is lost while Kafka keeps the records; their logs say why.",
            width=5,
            height=8,
            unit=Short,
        ),
        at_the_end(f"sum({ARCHIVE_WAITING.name})", "waiting"),
        nothing="no archiver",
        steps=colors("text", (1, "orange")),
    )
