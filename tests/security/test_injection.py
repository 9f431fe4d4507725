"""Names that others choose stay names: in an alert, a query, a link and a question in SQL."""

import re
import string
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from producers.events import IDENTIFIER
from streakline.redis_server import running_redis
from tests.alerting import PROMETHEUS, run
from tests.asked_lake import write_asked_lake
from tests.dashboard import Dashboard, running_dashboard
from tests.dashboards import SHIPPED

EVERY_CHARACTER = "azAZ09._:/@-"
TEMPLATE = '{{ $externalLabels.dashboard }} {{ with query "up" }}{{ . }}{{ end }} <b> \\ \' "'


def test_no_character_of_a_name_means_anything_where_it_ends() -> None:
    """Within a string of PromQL, SQL, HTML or a shell."""
    letters = {chr(code) for code in range(0x250) if re.match(IDENTIFIER, chr(code))}
    assert letters == {*string.ascii_letters, *string.digits, *"._:/@-"}


def test_an_alert_says_a_hostile_category_as_it_is(tmp_path: Path) -> None:
    """What is in a label is no template to Prometheus, and no address but an encoded one."""
    labels = {"run_id": EVERY_CHARACTER, "category": TEMPLATE}
    series = ",".join(f"{name}={msgspec.json.encode(value).decode()}" for name, value in labels.items())
    annotations = {
        "summary": f"Run {EVERY_CHARACTER} scores 8.0 percentage points below its project's baseline in {TEMPLATE}: "
        "compare their answers before its checkpoint is used.",
        "run_url": f"https://dash/runs/{quote(EVERY_CHARACTER, safe='')}",
        "runbook_url": "https://book#categoryregression",
    }
    case = {
        "interval": "15s",
        "external_labels": {"dashboard": "https://dash", "runbook": "https://book"},
        "input_series": [{"series": f"streakline_eval_category_score_delta{{{series}}}", "values": "-0.08x20"}],
        "alert_rule_test": [
            {
                "eval_time": "1m",
                "alertname": "CategoryRegression",
                "exp_alerts": [{"exp_labels": labels | {"severity": "warning"}, "exp_annotations": annotations}],
            }
        ],
    }
    tests = {"rule_files": [str(PROMETHEUS / "rules" / "evals.yml")], "evaluation_interval": "15s", "tests": [case]}
    path = tmp_path / "hostile.test.yml"
    path.write_bytes(msgspec.yaml.encode(tests))
    run("promtool", "test", "rules", path)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.json")), ids=lambda path: path.stem)
def test_no_query_takes_a_name_for_a_pattern(path: Path) -> None:
    """In Grafana a variable is put into a query as it is: only behind an equals sign does it stand for itself."""
    matchers = re.findall(r'(=~|!~|!=|=)\s*\\"([^"\\]*)\\"', path.read_text())
    assert matchers
    assert {operator for operator, value in matchers if "$" in value} <= {"="}


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    write_asked_lake(tmp_path)
    with running_redis() as url, running_dashboard(url, tmp_path, "injected.") as running:
        yield running


@pytest.mark.parametrize("name", ["x' OR '1'='1", "x' UNION SELECT 1 --", "x\x00", "assistant'; DROP VIEW runs; --"])
def test_what_stands_in_a_path_is_no_sql(name: str, dashboard: Dashboard) -> None:
    part = quote(name, safe="")
    for path in (f"/runs/{part}", f"/runs/{part}/report", f"/projects/{part}", f"/events/runs/{part}"):
        answer = dashboard.ask(path)
        assert answer.status == 404
        assert "base-1b" not in answer.text
    assert "Scores against base-1b" in dashboard.ask("/projects/assistant").text
