"""What pages with a few commands have people type, as it stands there; hosts, ports and files are the test's own."""

import os
import re
import shlex
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from msgspec.structs import fields

from producers.events import RunStarted
from producers.topics import TopicSettings, topic_names
from streakline.processes import free_port, wait_for_port
from stream_app.engine.replay import steps
from stream_app.engine.thresholds import Thresholds, parse_policy
from tests.archived import write_events
from tests.certificates import Authority
from tests.commands import streakline
from tests.documents import ROOT, blocks, commands
from tests.small_diffs import write_checkpoint, write_probes, write_sae
from workers.lake.writer import Lake
from workers.probes.reading import read_probes


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


CONCEPTS, SIGNALS, DIFFS, DASHBOARD = page("concepts.md"), page("signals.md"), page("diffs.md"), page("dashboard.md")


def typed(line: str, **environ: str) -> str:
    """What the command prints, run here."""
    program, *arguments = shlex.split(line)
    assert program == "streakline"
    ended = streakline(*arguments, environ=environ)
    assert ended.code == 0, ended.err
    return ended.out


def test_concepts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (line,) = commands(CONCEPTS)
    assert "dead_layers" in typed(line)
    names = topic_names(TopicSettings())
    assert re.findall(r"^\| `(streakline\.[\w-]+)` \|", CONCEPTS, re.MULTILINE) == [
        names.steps,
        names.runs,
        names.signals,
        names.diffs,
        names.dead_letters,
    ]


def test_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, archived = commands(SIGNALS)
    monkeypatch.chdir(ROOT)
    assert "gradient_spike" in typed(recorded)
    monkeypatch.chdir(tmp_path)
    (thresholds,) = blocks(SIGNALS, "toml")
    Path("thresholds.toml").write_text(thresholds)
    started = RunStarted(run_id="sft-7", project="assistant", ts=0.0)
    # A rise of 0.9: by default too much, and not in this project.
    rising = steps(loss=[2 + 0.09 * step for step in range(12)], run_id="sft-7")
    write_events(Lake("lake"), [started, *rising])
    assert typed(archived, STREAKLINE_LAKE="lake") == ""
    assert "loss_diverging" in typed(archived.replace(" --thresholds thresholds.toml", ""), STREAKLINE_LAKE="lake")
    assert parse_policy(thresholds.encode()).default.cooldown_steps == 50


def test_the_bounds_are_those_that_there_are_with_their_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", SIGNALS, re.MULTILINE)
    ours = {each.name: each.default for each in fields(Thresholds) if each.name != "own"}
    assert {name: float(value) for name, value in rows} == ours


def test_diffs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_checkpoint(Path("models/base"))
    write_checkpoint(Path("runs/sft-7"), moved=0.3)
    write_sae(Path("saes/layer-1"))
    write_probes(Path("probes.jsonl"))
    compare, scores, layers, report, compact = commands(DIFFS)
    lake = {"STREAKLINE_LAKE": "lake", "STREAKLINE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    assert "robustness" in typed(compare, **lake)
    assert "accuracy" in typed(scores, **lake)
    assert len(typed(layers, **lake).splitlines()) == 2
    assert "sft-7.html" in typed(report, **lake)
    typed(compact, **lake)
    assert "accuracy" in typed(scores, **lake)


def test_the_probes_that_are_shown_are_probes(tmp_path: Path) -> None:
    (example,) = blocks(DIFFS, "json")
    (tmp_path / "probes.jsonl").write_text(example)
    assert len(read_probes(tmp_path / "probes.jsonl").probes) == 3


def test_a_dashboard_for_others(tmp_path: Path) -> None:
    here, make_token, for_others = commands(DASHBOARD)
    assert here == "streakline dashboard"  # started by the test of commands.md
    subprocess.run(["bash", "-c", make_token], cwd=tmp_path, check=True)
    authority = Authority(tmp_path / "authority")
    pair = authority.issue("127.0.0.1")
    (tmp_path / "cert.pem").write_bytes(pair.certificate.read_bytes())
    (tmp_path / "key.pem").write_bytes(pair.key.read_bytes())
    port = free_port()
    environ = {"STREAKLINE_DASHBOARD_PORT": str(port), "STREAKLINE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    arguments = shlex.split(for_others.replace("0.0.0.0", "127.0.0.1"))[1:]
    process = subprocess.Popen(
        [sys.executable, "-m", "streakline", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
    )
    try:
        assert wait_for_port(process, port, timeout_seconds=120)
        token = (tmp_path / "dashboard.token").read_text().strip()
        request = urllib.request.Request(f"https://127.0.0.1:{port}/", headers={"Authorization": f"Bearer {token}"})
        trusting = ssl.create_default_context(cafile=str(authority.ca))
        with urllib.request.urlopen(request, context=trusting, timeout=30) as answer:
            assert answer.status == 200
    finally:
        process.terminate()
        assert process.wait(30) == 0
