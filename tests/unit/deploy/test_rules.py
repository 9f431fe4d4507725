"""The shipped rules: what promtool says of them, what each alert has to carry, and the pages that explain them."""

import json
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import fields

from producers.metrics import sample_names
from streakline.processes import free_port
from stream_app.settings import PerRunMetrics, StreamSettings
from tests.alerting import ALERTS, PROMETHEUS, rules, run
from tests.commands import streakline
from tests.dashboards import questions
from tests.documents import ROOT, blocks, links

PAGE = (ROOT / "docs" / "alerting.md").read_text()
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
TESTS = sorted((PROMETHEUS / "tests").iterdir())

OF_PROMETHEUS = {"up", "ALERTS"}
SERVER = {"prometheus", "prometheus-alertmanager", "export"}

each_alert = pytest.mark.parametrize("name", ALERTS)


class Alert(Struct, frozen=True):
    exp_labels: dict[str, str]
    exp_annotations: dict[str, str]


class Case(Struct, frozen=True):
    alertname: str
    exp_alerts: list[Alert]


class Scenario(Struct, frozen=True):
    alert_rule_test: list[Case] = []


class TestFile(Struct, frozen=True):
    __test__ = False
    tests: list[Scenario]


CASES = [
    case
    for path in TESTS
    for scenario in msgspec.yaml.decode(path.read_bytes(), type=TestFile).tests
    for case in scenario.alert_rule_test
]


def commands(document: str) -> list[str]:
    return [line for block in blocks(document, "sh") for line in block.replace("\\\n", "").splitlines()]


def names(expression: str) -> set[str]:
    """The metrics of an expression.

    >>> sorted(names('sum by (a) (rate(b{c="d"}[5m])) and on () e:f > 2'))
    ['b', 'e:f']
    """
    bare = re.sub(r'"[^"]*"|\[[^]]*\]', "", expression)
    bare = re.sub(r"\{[^}]*\}|\b(by|on) \([^)]*\)", "", bare)
    return set(re.findall(r"\b[a-zA-Z_][\w:]*+(?!\s*\()", bare)) - {"and", "or", "unless"}


def test_prometheus_accepts_its_files() -> None:
    run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_they_fire_when_they_should(path: Path) -> None:
    run("promtool", "test", "rules", path)


@each_alert
def test_an_alert_is_seen_to_fire_and_to_be_quiet(name: str) -> None:
    seen = {bool(case.exp_alerts) for case in CASES if case.alertname == name}
    assert seen == ({True} if name == "StreaklineHeartbeat" else {True, False})


@each_alert
def test_an_alert_says_what_to_do(name: str) -> None:
    alerts = [alert for case in CASES if case.alertname == name for alert in case.exp_alerts]
    for alert in alerts:
        assert alert.exp_labels["severity"] == ALERTS[name].labels["severity"]
        assert re.fullmatch(r"\S[^{}\n]*\.", alert.exp_annotations["summary"])
        assert alert.exp_annotations["runbook_url"] == f"https://book#{name.lower()}"
        assert ("run_id" in alert.exp_labels) == ("run_url" in alert.exp_annotations)


def test_they_ask_only_for_metrics_that_there_are() -> None:
    recorded = {rule.record for rule in rules()} - {""}
    asked = {name for rule in rules() for name in names(rule.expr)}
    assert asked - recorded - OF_PROMETHEUS <= sample_names()
    shown = set[str]().union(*(question.metrics for question in questions("sft-7")))
    assert recorded <= asked | shown, "recorded, and neither an alert nor a dashboard asks for it"


def test_the_runbook_has_a_section_for_each_and_no_other() -> None:
    assert sorted(re.findall(r"^## (.*)$", RUNBOOK, re.MULTILINE)) == sorted(ALERTS)


def test_the_page_lists_them_all() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| [\w-]+ \|", PAGE, re.MULTILINE)
    assert len(rows) == len(ALERTS)
    assert dict(rows) == {name: rule.labels["severity"] for name, rule in ALERTS.items()}


def test_the_page_knows_what_workers_may_expose() -> None:
    assert re.findall(r"^\| `(all|signals|none)`", PAGE, re.MULTILINE) == list(get_args(PerRunMetrics))


@pytest.mark.parametrize("document", [PAGE, RUNBOOK], ids=["alerting.md", "runbook.md"])
def test_what_is_named_is_there(document: str) -> None:
    known = {f"STREAKLINE_{field.name.upper()}" for field in fields(StreamSettings)}
    of_others = {"STREAKLINE_KAFKA_BOOTSTRAP", "STREAKLINE_DASHBOARD_URL", "STREAKLINE_RUNBOOK_URL"}
    assert set(re.findall(r"STREAKLINE_[A-Z_]+", document)) <= known | of_others
    for path in links(document):
        assert (ROOT / "docs" / path).exists()
    for path in re.findall(r"`(deploy/[^`]+)`", document):
        assert (ROOT / path).exists()


@pytest.mark.parametrize("line", [line for line in commands(PAGE) if line.split()[0] in {"promtool", "amtool"}])
def test_a_check_of_the_page_passes(line: str) -> None:
    run(shlex.split(line)[0], "--version")
    run("bash", "-c", line)


def test_no_command_of_the_page_is_left_untested() -> None:
    programs = {line.split()[0] for line in commands(PAGE)}
    assert programs == {"promtool", "amtool", "apt-get", *SERVER}


@pytest.mark.parametrize("line", [line for line in commands(RUNBOOK) if line.startswith("streakline ")])
def test_a_command_of_the_runbook_is_one(line: str) -> None:
    assert streakline(*shlex.split(line)[1:], "--help").code == 0


@contextmanager
def notified(port: int) -> Iterator[Queue[list[dict[str, Any]]]]:
    """What Prometheus sends to an Alertmanager on `port`."""
    sent: Queue[list[dict[str, Any]]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.1,)).start()
        yield sent
        server.shutdown()


def test_the_links_are_those_of_the_environment_and_no_labels(tmp_path: Path) -> None:
    """Prometheus, started as the page says; only ports, folders and patience are the test's own."""
    run("prometheus", "--version")
    (start,) = (block for block in blocks(PAGE, "sh") if "prometheus --config.file" in block)
    start = start.replace(".streakline", str(tmp_path)).replace(":9090", f":{free_port()}")
    start = start.replace("deploy/prometheus/", f"{tmp_path}/").replace("\nprometheus ", "\nexec prometheus ")
    alertmanager = free_port()
    files = (PROMETHEUS / "prometheus.yml", PROMETHEUS / "targets" / "alertmanager.json")
    for path in (*files, *(PROMETHEUS / "rules").iterdir()):
        copy = tmp_path / path.relative_to(PROMETHEUS)
        copy.parent.mkdir(exist_ok=True)
        # The heartbeat fires before Prometheus knows of an Alertmanager, and is sent again only after a minute.
        copy.write_text(path.read_text().replace(":9093", f":{alertmanager}").replace("for: 30s", "for: 5s"))
    with notified(alertmanager) as sent, (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["bash", "-c", start], cwd=ROOT, stdout=log, stderr=log)
        try:
            (down,) = sent.get(timeout=60)
        finally:
            process.terminate()
            process.wait(30)
    assert down["labels"] == {"alertname": "StreaklineDown", "severity": "critical"}
    runbook = "https://git.example.com/streakline/docs/runbook.md"
    assert down["annotations"]["runbook_url"] == f"{runbook}#streaklinedown"
