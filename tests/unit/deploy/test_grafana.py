"""The shipped dashboards: what the code makes, and questions that Prometheus understands."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Panel, RowPanel

from deploy.grafana.build import dashboard_files
from deploy.grafana.frame import RUN_URL
from deploy.grafana.promql import last_known, per, seconds_since
from producers.metrics import METRICS, RunMetric, sample_names
from tests.alerting import rules
from tests.dashboards import SHIPPED, Question, dashboards, panels, questions, variables_in
from tests.documents import ROOT

DASHBOARDS = dashboards()
RUN_ID = "team/sft-7:a.b@c_d"
QUESTIONS = list(questions(RUN_ID))
PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"

OF_EVERY_TARGET = {"up", "ALERTS"}
OF_THE_PYTHON_CLIENT = {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"}

each_dashboard = pytest.mark.parametrize("name", DASHBOARDS)


def test_the_files_are_what_the_code_makes() -> None:
    assert {path.name: path.read_text() for path in SHIPPED.iterdir()} == dashboard_files(), "run `make docs`"


def test_the_same_code_makes_the_same_bytes() -> None:
    assert dashboard_files() == dashboard_files()


@each_dashboard
def test_a_file_holds_nothing_that_the_sdk_has_no_type_for(name: str) -> None:
    shipped = json.loads((SHIPPED / f"{name}.json").read_text())
    for annotation in shipped["annotations"].get("list", []):
        # What Grafana's Prometheus data source reads of an annotation, and the SDK leaves out.
        assert [annotation.pop(key) for key in ("titleFormat", "step", "useValueForTime")] == ["{{type}}", "4s", True]
    assert json.loads(JSONEncoder().encode(DASHBOARDS[name])) == shipped


@each_dashboard
def test_a_dashboard_can_be_found_and_leads_to_the_others(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert dashboard.uid == f"streakline-{name}"
    assert dashboard.tags == ["streakline"]
    assert [link.tags for link in dashboard.links or []] == [["streakline"]]


@each_dashboard
def test_every_variable_in_use_is_defined(name: str) -> None:
    defined = {variable.name for variable in DASHBOARDS[name].templating.list_val or []}
    used = {used for used in variables_in((SHIPPED / f"{name}.json").read_text()) if not used.startswith("__")}
    assert used == defined
    assert "datasource" in defined


@each_dashboard
def test_panels_have_ids_of_their_own_and_do_not_overlap(name: str) -> None:
    top = DASHBOARDS[name].panels or []
    everything = [*top, *(inner for row in top if isinstance(row, RowPanel) for inner in row.panels)]
    assert sorted(panel.id_val or 0 for panel in everything) == list(range(1, len(everything) + 1))
    cells = [cell for panel in everything for cell in _cells(panel)]
    assert len(cells) == len(set(cells))
    assert all(0 <= x < 24 for x, _ in cells)


@each_dashboard
def test_a_panel_says_how_to_read_it(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        assert panel.title
        assert (panel.description or "").endswith("."), panel.title
        assert panel.field_config.defaults.unit, panel.title
        assert panel.library_panel is None
        assert panel.datasource is not None
        assert (panel.datasource.type_val, panel.datasource.uid) == ("prometheus", "${datasource}")


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    ended = promtool("check", _rules([question.expression for question in QUESTIONS]), tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_prometheus_would_say_what_it_does_not_understand(tmp_path: Path) -> None:
    ended = promtool("check", _rules(["up", "sum by (run_id) (up"]), tmp_path)
    assert ended.returncode != 0
    assert "could not parse expression" in ended.stdout + ended.stderr


STEP = "a_step"
WHEN = "a_timestamp_seconds"
# A value a minute: the run moves from worker a to worker b, where it is restarted from an earlier step, and ends.
MOVED = {
    f'{STEP}{{run_id="r",instance="a"}}': "5000 5000 5000 5000 stale",
    f'{STEP}{{run_id="r",instance="b"}}': "_ _ _ 5000 4100 4100 4100 stale",
    f'{WHEN}{{run_id="r",instance="a"}}': "30 30 30 30 stale",
    f'{WHEN}{{run_id="r",instance="b"}}': "_ _ _ 30 240 240 240 stale",
}


@pytest.mark.parametrize(
    ("expression", "at", "value"),
    [
        pytest.param(per("run_id", STEP), "3m", 5000, id="exposed twice, shown once"),
        pytest.param(last_known("run_id", STEP, "1h"), "5m", 4100, id="what its worker says now"),
        pytest.param(last_known("run_id", STEP, "4m"), "9m", 4100, id="what was last said of a run that ended"),
        pytest.param(seconds_since("run_id", WHEN, "1h"), "9m", 300, id="since the latest, though it ended"),
    ],
)
def test_a_run_that_moves_and_ends_is_shown_as_it_is(expression: str, at: str, value: float, tmp_path: Path) -> None:
    case = {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in MOVED.items()],
        "promql_expr_test": [
            {"expr": expression, "eval_time": at, "exp_samples": [{"labels": '{run_id="r"}', "value": value}]}
        ],
    }
    ended = promtool("test", {"evaluation_interval": "1m", "tests": [case]}, tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: f"{question.dashboard}-{question.panel}")
def test_an_expression_asks_for_metrics_that_exist(question: Question) -> None:
    assert question.metrics
    recorded = {rule.record for rule in rules()}
    assert question.metrics <= sample_names() | recorded | OF_EVERY_TARGET | OF_THE_PYTHON_CLIENT


def test_every_metric_is_shown_somewhere() -> None:
    asked = set[str]().union(*(question.metrics for question in QUESTIONS))
    unseen = {metric.name for metric in METRICS if not asked & {metric.name, f"{metric.name}_bucket"}}
    assert not unseen


def test_the_dashboard_of_a_run_asks_for_that_run_alone() -> None:
    of_runs = {metric.name for metric in METRICS if isinstance(metric, RunMetric)} | {"ALERTS"}
    for question in QUESTIONS:
        if question.dashboard == "run" and question.panel != "run_id":
            selectors = sum(question.expression.count(f"{name}{{") for name in of_runs)
            assert question.metrics <= of_runs
            assert question.expression.count(f'run_id="{RUN_ID}"') == selectors > 0, question.expression


def test_a_run_id_survives_the_way_to_its_dashboard() -> None:
    every_character = "azAZ09._:/@-"
    url = RUN_URL.replace("${__value.raw}", every_character)
    assert parse_qs(url.partition("?")[2])["var-run_id"] == [every_character]


def test_a_mark_is_where_the_signal_was() -> None:
    annotations = DASHBOARDS["run"].annotations.list_val or []
    assert [annotation.name.split()[0] for annotation in annotations] == ["Critical", "Warning", "Info"]
    # Milliseconds: the value is the mark's time.
    assert all((annotation.expr or "").startswith("1000 * max by (type)") for annotation in annotations)


def test_grafana_is_given_the_data_source_and_the_folder() -> None:
    (source,) = _yaml("datasources/prometheus.yaml")["datasources"]
    assert source["type"] == "prometheus"
    (provider,) = _yaml("dashboards/streakline.yaml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"] == {"path": "/etc/grafana/dashboards"}


def promtool(verb: str, content: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the real promtool says of a file of rules (`check`) or of tests (`test`)."""
    binary = shutil.which("promtool")
    if binary is None:
        pytest.fail("promtool is missing: apt-get install prometheus")
    path = folder / "rules.yml"
    path.write_text(json.dumps(content))
    return subprocess.run([binary, verb, "rules", path], capture_output=True, text=True, check=False)


def _rules(expressions: list[str]) -> object:
    rules = [{"record": f"expression:{n}", "expr": expression} for n, expression in enumerate(expressions)]
    return {"groups": [{"name": "dashboards", "rules": rules}]}


def _cells(panel: Panel | RowPanel) -> Iterator[tuple[int, int]]:
    place = panel.grid_pos
    assert place is not None
    assert place.w > 0
    assert place.h > 0
    for x in range(place.x, place.x + place.w):
        for y in range(place.y, place.y + place.h):
            yield x, y


def _yaml(path: str) -> Any:
    return msgspec.yaml.decode((PROVISIONING / path).read_bytes())
