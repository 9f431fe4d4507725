"""What panels of every kind have: a place on the grid, queries, colors, words."""

from collections.abc import Sequence
from typing import Protocol, Self, TypeVar

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery as AnyQuery
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from msgspec import Struct

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


class Place(Struct, frozen=True):
    """How a panel is announced and how large it is."""

    title: str
    description: str
    """what to do about it, or how to read it"""
    width: int
    """of 24"""
    height: int
    """a row is 30 pixels"""
    unit: str


class _Panel(Protocol):
    """What the builders of all kinds of panel have in common."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def span(self, w: int) -> Self: ...
    def height(self, h: int) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def datasource(self, datasource: DataSourceRef) -> Self: ...
    def targets(self, targets: list[Builder[AnyQuery]]) -> Self: ...


AnyPanel = TypeVar("AnyPanel", bound=_Panel)


def placed(panel: AnyPanel, place: Place, queries: Sequence[Dataquery]) -> AnyPanel:
    """`panel` in its place, with its queries, which are named A, B, C …."""
    targets: list[Builder[AnyQuery]] = [
        query.ref_id(letter).datasource(DATASOURCE) for letter, query in zip("ABCDEFGHIJ", queries, strict=False)
    ]
    return (
        panel.title(place.title)
        .description(place.description)
        .span(place.width)
        .height(place.height)
        .unit(place.unit)
        .datasource(DATASOURCE)
        .targets(targets)
    )


def colors(base: str, *steps: tuple[float, str]) -> ThresholdsConfig:
    """`base` below the first step; from each step's value on, its color."""
    thresholds = [Threshold(None, base), *(Threshold(value, color) for value, color in steps)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(thresholds)


def words(zero: tuple[str, str], one: tuple[str, str]) -> ValueMap:
    """What is shown for 0 and for 1: a text, and its color."""
    return ValueMap({str(value): ValueMappingResult(text, color) for value, (text, color) in enumerate((zero, one))})
