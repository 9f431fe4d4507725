"""Who is notified of what, and what is held back because something else says it."""

import re
import subprocess
import time
import urllib.request
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from streakline.processes import free_port
from tests.alerting import ALERTMANAGER, ALERTS, run
from tests.documents import ROOT, blocks

PAGE = (ROOT / "docs" / "alerting.md").read_text()
CONFIG = msgspec.yaml.decode(ALERTMANAGER.read_bytes())


class Inhibition(Struct, frozen=True):
    source_matchers: list[str]
    target_matchers: list[str]
    equal: list[str] = []


INHIBITIONS = msgspec.convert(CONFIG["inhibit_rules"], list[Inhibition])


def receiver(**labels: str) -> str:
    """Where amtool says that an alert with these labels goes."""
    pairs = [f"{name}={value}" for name, value in labels.items()]
    return run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *pairs).strip()


def test_amtool_accepts_it() -> None:
    run("amtool", "check-config", ALERTMANAGER)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_goes_where_the_page_says(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \| \w+ \| ([\w-]+) \|", PAGE, re.MULTILINE)
    of_a_run = {"run_id": "team/sft-7"} if "run_url" in ALERTS[name].annotations else {}
    assert receiver(alertname=name, severity=ALERTS[name].labels["severity"], **of_a_run) == row


@pytest.mark.parametrize("of_a_run", [{}, {"run_id": "sft-7"}])
def test_an_unknown_severity_is_a_warning(of_a_run: dict[str, str]) -> None:
    assert receiver(alertname="New", severity="urgent", **of_a_run) == "team-warnings"


def test_one_message_a_run_and_one_for_all_workers() -> None:
    default = CONFIG["route"]
    routes = [{**default, **route} for route in (*default["routes"], default)]
    assert [(route["receiver"], route["group_by"], route["group_wait"]) for route in routes] == [
        ("heartbeat", ["alertname"], "0s"),
        ("pager", ["run_id"], "500ms"),
        ("pager", ["alertname"], "500ms"),
        ("digest", ["severity"], "5m"),
        ("team-warnings", ["run_id"], "30s"),
        ("team-warnings", ["alertname"], "30s"),
    ]


def inhibits(source: dict[str, str], target: dict[str, str]) -> bool:
    """What Alertmanager does with both, by its documentation: a missing label is an empty one."""

    def matches(matchers: list[str], labels: dict[str, str]) -> bool:
        for matcher in matchers:
            parts = re.fullmatch(r'(\w+)(=~?)"(.*)"', matcher)
            assert parts, matcher
            name, operator, value = parts.groups()
            pattern = value if operator == "=~" else re.escape(value)
            if not re.fullmatch(pattern, labels.get(name, "")):
                return False
        return True

    return any(
        matches(rule.source_matchers, source)
        and matches(rule.target_matchers, target)
        and all(source.get(label, "") == target.get(label, "") for label in rule.equal)
        for rule in INHIBITIONS
    )


def alert(name: str, **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": ALERTS[name].labels["severity"], **labels}


def signal(severity: str, type_: str = "loss_diverging", run_id: str = "a") -> dict[str, str]:
    return alert(f"TrainingRun{severity.title()}Signal", type=type_, run_id=run_id)


STORM = alert("TrainingSignalStorm", type="loss_diverging")
DOWN, BLIND, LATE = alert("StreaklineDown"), alert("StreaklineNotConsuming", check="broker"), alert("StreaklineLagging")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (signal("critical"), signal("warning", "dead_layers")),
        (signal("critical"), signal("info", "loss_plateau")),
        (signal("critical", "gradient_spike"), signal("warning", "gradient_spike")),
        (signal("critical", "gradient_spike"), signal("info", "gradient_spike")),
        (signal("warning", "gradient_spike"), signal("info", "gradient_spike")),
        (STORM, signal("critical")),
        (STORM, signal("warning")),
        (STORM, signal("info")),
        (alert("TrainingRunStalledLong", run_id="a"), alert("TrainingRunStalled", run_id="a")),
        (alert("CategoryRegressionBroad", run_id="a"), alert("CategoryRegression", run_id="a", category="math")),
        (DOWN, alert("StreaklineReplicaDown", instance="b", job="streakline")),
        (BLIND, LATE),
        (BLIND, alert("StreaklineLaggingBadly")),
        (alert("StreaklineLaggingBadly"), LATE),
        *((source, alert(name, run_id="a")) for source in (DOWN, BLIND, LATE) for name in ALERTS if "Stalled" in name),
    ],
)
def test_what_is_held_back(source: dict[str, str], target: dict[str, str]) -> None:
    assert inhibits(source, target)
    assert not inhibits(target, source)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (signal("critical"), signal("warning", "dead_layers", "b")),
        (signal("critical"), signal("critical", "non_finite")),
        (signal("critical"), alert("TrainingRunStalled", run_id="a")),
        (signal("critical"), alert("CategoryRegression", run_id="a", category="math")),
        (signal("critical", "gradient_spike"), signal("warning", "dead_layers")),
        (signal("warning", "dead_layers"), signal("warning", "dead_layers", "b")),
        (signal("critical"), LATE),
        (STORM, signal("critical", "non_finite")),
        (STORM, alert("StreaklineDeadLetters", topic="steps", reason="malformed")),
        (STORM, STORM),
        (alert("TrainingRunStalledLong", run_id="a"), alert("TrainingRunStalled", run_id="b")),
        (alert("CategoryRegressionBroad", run_id="a"), alert("CategoryRegression", run_id="b", category="math")),
        (alert("TrainingRunStalledLong", run_id="a"), LATE),
        *((source, signal("critical")) for source in (DOWN, BLIND, LATE)),
        *((source, alert("StreaklineHeartbeat")) for source in (DOWN, BLIND, STORM)),
    ],
)
def test_what_is_not(source: dict[str, str], target: dict[str, str]) -> None:
    assert not inhibits(source, target)


def test_the_receivers_are_on_the_loopback_interface_and_there_alone_is_their_address() -> None:
    text = ALERTMANAGER.read_text()
    urls = re.findall(r"url: '(.*?)'", text)
    assert urls == [f"http://127.0.0.1:9095/{path}" for path in ("pager", "warnings", "digest", "heartbeat")]
    assert text.count("127.0.0.1:9095") == len(urls)


def test_the_page_shows_receivers_that_may_take_their_place(tmp_path: Path) -> None:
    (example,) = blocks(PAGE, "yaml")
    receivers = msgspec.yaml.decode(example)["receivers"]
    assert [each["name"] for each in receivers] == [each["name"] for each in CONFIG["receivers"]]
    changed = tmp_path / "alertmanager.yml"
    changed.write_bytes(msgspec.yaml.encode({**CONFIG, "receivers": receivers}))
    run("amtool", "check-config", changed)


def test_it_starts_as_the_page_says(tmp_path: Path) -> None:
    run("prometheus-alertmanager", "--version")
    (start,) = (block for block in blocks(PAGE, "sh") if block.startswith("prometheus-alertmanager"))
    port = free_port()
    start = start.replace(".streakline", str(tmp_path)).replace(":9093", f":{port}")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["bash", "-c", f"exec {start}"], cwd=ROOT, stdout=log, stderr=log)
        try:
            assert answers(f"http://127.0.0.1:{port}/-/ready"), (tmp_path / "log").read_text()
        finally:
            process.terminate()
            process.wait(30)


def answers(url: str) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return True
        except OSError:
            time.sleep(0.1)
    return False
