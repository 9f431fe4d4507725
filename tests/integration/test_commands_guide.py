"""Every command of docs/commands.md, run as it stands there; only ports and folders are the test's own."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.events import RunStarted
from producers.kafka import KafkaSettings
from streakline.processes import free_port, wait_for_port
from tests.archived import write_events
from tests.asked_lake import write_asked_lake
from tests.commands import start, streakline
from tests.diff_service import running_diff_service
from tests.documents import ROOT, commands
from tests.small_diffs import write_checkpoint, write_probes
from tests.worker import READY, wait_until
from workers.lake.writer import Lake

GUIDE = (ROOT / "docs" / "commands.md").read_text()
COMMANDS = commands(GUIDE)

DIFF = "streakline diff models/base runs/sft-7 --eval probes.jsonl"
DIFF_WORKER = "STREAKLINE_MODEL_ROOTS=/models streakline diff-worker"


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """`streakline up`, running, and the environment in which commands find it."""
    port = free_port()
    mine = {
        "STREAKLINE_UP_PORT": str(port),
        "STREAKLINE_UP_METRICS_PORT": str(free_port()),
        "STREAKLINE_STATE_DIR": str(tmp_path_factory.mktemp("up")),
        "STREAKLINE_LAKE": str(tmp_path_factory.mktemp("lake")),
    }
    assert "streakline up" in COMMANDS
    up = start("up", environ=mine)
    assert up.stderr is not None
    assert any(b"Ctrl-C" in line for line in up.stderr), "it did not start"
    yield {
        **os.environ,
        "STREAKLINE_KAFKA_BOOTSTRAP": f"127.0.0.1:{port}",
        "STREAKLINE_LAKE": mine["STREAKLINE_LAKE"],
    }
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=30)
    assert up.returncode == 130


SINGLE = [line for line in COMMANDS if re.match(r"streakline (?!up$)", line)]
QUERIES = [line for line in SINGLE if line.startswith("streakline query ")]
REPORT = "streakline report sft-7"
DASHBOARD = "streakline dashboard"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models and probes lie that the reader has."""
    folder = tmp_path_factory.mktemp("models")
    write_checkpoint(folder / "models" / "base")
    write_checkpoint(folder / "runs" / "sft-7", moved=0.3)
    write_probes(folder / "probes.jsonl")
    return folder


@pytest.mark.parametrize("line", [line for line in SINGLE if line not in {*QUERIES, REPORT, DASHBOARD}])
def test_a_command_does_what_it_says(line: str, environ: dict[str, str], models: Path) -> None:
    _, *arguments = shlex.split(line)
    ended = subprocess.run(
        [sys.executable, "-m", "streakline", *arguments],
        check=False,
        cwd=models if line == DIFF else ROOT,
        env=environ,
        timeout=120,
        capture_output=True,
    )
    assert ended.returncode == 0, ended.stderr.decode()


@pytest.mark.parametrize("line", QUERIES)
def test_a_question_is_answered(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_asked_lake(tmp_path / "lake")
    monkeypatch.chdir(tmp_path)
    ended = streakline(*shlex.split(line)[1:], environ={"STREAKLINE_LAKE": "lake"})
    assert (ended.code, ended.err) == (0, "")
    assert "sft-3" in ended.out or (tmp_path / "unsure.parquet").stat().st_size


def test_a_report_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert REPORT in SINGLE
    write_events(Lake(str(tmp_path / "lake")), [RunStarted(run_id="sft-7", ts=1.7e9)])
    monkeypatch.chdir(tmp_path)
    ended = streakline(*shlex.split(REPORT)[1:], environ={"STREAKLINE_LAKE": "lake"})
    assert (ended.code, ended.err) == (0, "")
    assert (tmp_path / "sft-7.html").stat().st_size


def test_the_dashboard_is_served(environ: dict[str, str]) -> None:
    assert DASHBOARD in SINGLE
    # Somebody else may have the port by which the guide names it.
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "streakline", "dashboard"], env={**environ, "STREAKLINE_DASHBOARD_PORT": str(port)}
    )
    assert wait_for_port(process, port, timeout_seconds=120)
    process.terminate()
    assert process.wait(30) == 0


def test_a_worker_of_its_own_joins(environ: dict[str, str], tmp_path: Path) -> None:
    assert "STREAKLINE_DATA_DIR=/tmp/streakline-worker-1 streakline stream" in COMMANDS
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "streakline", "stream"],
            env={**environ, "STREAKLINE_DATA_DIR": str(tmp_path / "data"), "STREAKLINE_LIVE": "false"},
            stderr=output,
        )
    wait_until(lambda: READY in log.read_text())
    worker.terminate()
    assert worker.wait(30) == 0


def test_a_diff_worker_joins(environ: dict[str, str], models: Path, tmp_path: Path) -> None:
    assert DIFF_WORKER in COMMANDS
    with running_diff_service(tmp_path, models, environ) as worker:
        worker.wait_until_ready()
        worker.process.terminate()
        assert worker.process.wait(60) == 0


def test_no_command_is_left_untested() -> None:
    assert set(COMMANDS) - {*SINGLE, "streakline up"} == {
        f"export STREAKLINE_KAFKA_BOOTSTRAP={KafkaSettings().kafka_bootstrap}",
        "STREAKLINE_DATA_DIR=/tmp/streakline-worker-1 streakline stream",
        DIFF_WORKER,
    }


def test_what_has_no_block_of_its_own_is_a_command() -> None:
    """Named in a sentence."""
    for named in re.findall(r"`streakline ([a-z][a-z -]*)`", GUIDE):
        assert streakline(*named.split(), "--help").code == 0, named
