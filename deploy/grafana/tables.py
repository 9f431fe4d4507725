"""Tables: several instant queries with the same labels, a row for each set of labels."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import table as sdk
from grafana_foundation_sdk.builders.common import TableSortByFieldState
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig, DynamicConfigValue
from msgspec import Struct

from deploy.grafana.placing import Place, placed


class Column(Struct, frozen=True):
    """One column of a table."""

    field: str
    """a label; ``Value`` for the value of an only query, ``Value #B`` for that of the second of several"""
    title: str
    unit: str | None = None
    """where it is not the table's"""
    steps: ThresholdsConfig | None = None
    """colors of the text"""
    link: str | None = None
    """the address a cell leads to"""


def ranked(
    place: Place,
    queries: Sequence[Dataquery],
    columns: Sequence[Column],
    *,
    by: str,
    descending: bool = False,
    nothing: str,
) -> sdk.Panel:
    """Rows that several queries give for the same labels are one; the column titled `by` sorts them."""
    panel = (
        placed(sdk.Panel(), place, queries)
        .with_transformation(DataTransformerConfig("merge", options={}))
        .with_transformation(DataTransformerConfig("organize", options=_organized(columns)))
        .sort_by([TableSortByFieldState().display_name(by).desc(descending)])
        .no_value(nothing)
    )
    for column in columns:
        if properties := _properties(column):
            panel.override_by_name(column.title, properties)
    return panel


def _organized(columns: Sequence[Column]) -> dict[str, object]:
    # Every query also gives a time and a value; a value that is always 1 is no column.
    unwanted = {"Time", "Value"} - {column.field for column in columns}
    return {
        "excludeByName": dict.fromkeys(unwanted, True),
        "indexByName": {column.field: index for index, column in enumerate(columns)},
        "renameByName": {column.field: column.title for column in columns},
    }


def _properties(column: Column) -> list[DynamicConfigValue]:
    properties = []
    if column.unit:
        properties.append(DynamicConfigValue("unit", column.unit))
    if column.steps:
        properties.append(DynamicConfigValue("thresholds", column.steps.build()))
        properties.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    if column.link:
        properties.append(DynamicConfigValue("links", [{"title": "Open this run", "url": column.link}]))
    return properties
