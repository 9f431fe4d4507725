"""The shipped alerts as typed structs, and the tools of Prometheus and Alertmanager."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from streakline.alerting import INSTALL
from tests.documents import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"


class Rule(Struct, frozen=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """One rule of Prometheus: it has a name to record under, or one to alert by."""

    expr: str
    record: str = ""
    alert: str = ""
    for_: str = ""
    keep_firing_for: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Group(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    rules: list[Rule]
    interval: str = ""


class _RuleFile(Struct, frozen=True, forbid_unknown_fields=True):
    groups: list[_Group]


def rules() -> Iterator[Rule]:
    """Every shipped rule."""
    for path in sorted((PROMETHEUS / "rules").iterdir()):
        for group in msgspec.yaml.decode(path.read_bytes(), type=_RuleFile).groups:
            yield from group.rules


ALERTS = {rule.alert: rule for rule in rules() if rule.alert}


def run(*command: str | Path) -> str:
    """What the command printed. The test fails where it does, with what it said, and where it is not installed."""
    program = str(command[0])
    if shutil.which(program) is None:
        pytest.fail(f"{program} is missing: {INSTALL}")
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
