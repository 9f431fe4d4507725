"""The kinds of panel the dashboards are made of, tables aside."""

from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import ValueMap

from deploy.grafana.placing import Place, colors, placed


def number(
    place: Place, *queries: Dataquery, steps: ThresholdsConfig | None = None, nothing: str = "no data"
) -> stat.Panel:
    """The last value of each series, large; `nothing` where there is none."""
    return (
        placed(stat.Panel(), place, queries)
        .reduce_options(_LAST)
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.VALUE)
        .thresholds(steps or colors("text"))
        .no_value(nothing)
    )


def name(place: Place, query: Dataquery, nothing: str) -> stat.Panel:
    """The legend of the series instead of its value."""
    return number(place, query, nothing=nothing).text_mode(BigValueTextMode.NAME)


def graph(place: Place, *queries: Dataquery, calcs: tuple[str, ...] = ()) -> timeseries.Panel:
    """Lines over time; the legend is a list, or with `calcs` a table of them."""
    legend = VizLegendOptions().show_legend(True).placement(LegendPlacement.BOTTOM).calcs(list(calcs))
    return (
        placed(timeseries.Panel(), place, queries)
        .legend(legend.display_mode(LegendDisplayMode.TABLE if calcs else LegendDisplayMode.LIST))
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .show_points(VisibilityMode.AUTO)
        .fill_opacity(0)
    )


def with_lines(panel: timeseries.Panel, *lines: tuple[float, str]) -> timeseries.Panel:
    """A graph of what is never negative, with a dashed line at each bound, in its color."""
    style = GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED)
    return panel.thresholds(colors("transparent", *lines)).thresholds_style(style).min(0)


def bars(place: Place, query: Dataquery, nothing: str) -> bargauge.Panel:
    """A bar for each series, at its last value."""
    return (
        placed(bargauge.Panel(), place, [query])
        .reduce_options(_LAST)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .orientation(VizOrientation.HORIZONTAL)
        .thresholds(colors("blue"))
        .min(0)
        .no_value(nothing)
    )


def timeline(place: Place, query: Dataquery, meaning: ValueMap) -> statetimeline.Panel:
    """A band for each series, whose values are 0 and 1."""
    return (
        placed(statetimeline.Panel(), place, [query])
        .mappings([meaning])
        .legend(VizLegendOptions().show_legend(False))
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.SINGLE))
        .show_value(VisibilityMode.NEVER)
        .merge_values(True)
        .fill_opacity(80)
    )


_LAST = ReduceDataOptions().calcs(["lastNotNull"])
