"""What the shipped Grafana dashboards ask Prometheus."""

import json
import re
from collections.abc import Iterator, Mapping

from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel, RowPanel
from grafana_foundation_sdk.models.prometheus import Dataquery
from msgspec import Struct

from tests.documents import ROOT

SHIPPED = ROOT / "deploy" / "grafana" / "dashboards"

BUILT_IN = {"__rate_interval": "1m", "__range": "1h"}
"""what Grafana fills in of itself, as it does for a look at the last hour"""

# What stands between braces, brackets, quotes or the parentheses of a grouping names no metric.
_ASIDE = re.compile(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)')
_NAME = re.compile(r"\b[a-zA-Z_:][\w:]*+(?!\s*\()")
_WORDS = {"and", "or", "unless", "bool"}
_VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")


class Question(Struct, frozen=True):
    """One expression of a dashboard, as Prometheus gets it."""

    dashboard: str
    """the name of its file"""
    panel: str
    """the title of the panel, the name of the annotation or that of the variable"""
    expression: str

    @property
    def metrics(self) -> set[str]:
        """The names of the metrics it asks for.

        >>> Question("", "", 'sum by (a) (rate(up{b="c"}[1m])) > bool 0 and on (d) ALERTS').metrics == {"up", "ALERTS"}
        True
        """
        return set(_NAME.findall(_ASIDE.sub(" ", self.expression))) - _WORDS


def dashboards() -> dict[str, Dashboard]:
    """The shipped files, by name."""
    register_default_plugins()
    return {path.stem: Dashboard.from_json(json.loads(path.read_text())) for path in sorted(SHIPPED.glob("*.json"))}


def panels(dashboard: Dashboard) -> Iterator[Panel]:
    """All of them, those of folded rows too; not the rows."""
    for item in dashboard.panels or []:
        if isinstance(item, RowPanel):
            yield from item.panels
        else:
            yield item


def questions(run_id: str, built_in: Mapping[str, str] = BUILT_IN) -> Iterator[Question]:
    """Every expression of every dashboard, with the values of the variables in the place of their names.

    A variable's own query is there as the series it takes the label's values from. Raises KeyError where an
    expression has a variable that is neither `run_id` nor in `built_in`.
    """
    values = {**built_in, "run_id": run_id}
    for name, dashboard in dashboards().items():
        for title, expression in _expressions(dashboard):
            yield Question(name, title, _VARIABLE.sub(lambda match: values[match[1] or match[2]], expression))


def variables_in(text: str) -> set[str]:
    """The names of the variables that a text uses.

    >>> sorted(variables_in("/d/x?var-a=${a}&b=${__value.raw} $c"))
    ['__value', 'a', 'c']
    """
    return {match[1] or match[2] for match in _VARIABLE.finditer(text)}


def _expressions(dashboard: Dashboard) -> Iterator[tuple[str, str]]:
    for panel in panels(dashboard):
        for target in panel.targets or []:
            assert isinstance(target, Dataquery)
            yield panel.title or "", target.expr
    for annotation in dashboard.annotations.list_val or []:
        yield annotation.name, annotation.expr or ""
    for variable in dashboard.templating.list_val or []:
        if match := re.fullmatch(r"label_values\((.+), \w+\)", str(variable.query)):
            yield variable.name, match[1]
