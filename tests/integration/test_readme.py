"""Every command of README.md, run as it stands there; only ports and folders are the test's own."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.kafka import KafkaSettings
from streakline.processes import free_port
from stream_app.engine.thresholds import parse_policy
from tests.commands import start
from tests.diff_service import running_diff_service
from tests.documents import ROOT, blocks, links
from tests.small_diffs import write_checkpoint, write_probes
from tests.worker import READY, wait_until

README = (ROOT / "README.md").read_text()

# What the snippet leaves to the reader's trainer.
TRAINER = """
import torch
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters())
batches = [torch.randn(2, 4) for _ in range(30)]
"""


DIFF = "streakline diff models/base runs/sft-7 --eval probes.jsonl"
DIFF_WORKER = "STREAKLINE_MODEL_ROOTS=/models streakline diff-worker"


def commands() -> list[str]:
    return [line for block in blocks(README, "sh") for line in block.splitlines()]


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
    assert "streakline up" in commands()
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


def test_the_snippet_trains_and_its_run_is_there(environ: dict[str, str]) -> None:
    (snippet,) = blocks(README, "python")
    program = TRAINER + snippet + "\nassert run.stats.acknowledged == 30 + 4, run.stats\n"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, env=environ, timeout=120)
    ended = subprocess.run(
        [sys.executable, "-m", "streakline", "runs", "--json"],
        check=True,
        cwd=ROOT,
        env=environ,
        timeout=60,
        capture_output=True,
    )
    assert b'"sft-7"' in ended.stdout


SINGLE = [line for line in commands() if re.match(r"streakline (?!up$)", line)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models and probes lie that the reader has."""
    folder = tmp_path_factory.mktemp("models")
    write_checkpoint(folder / "models" / "base")
    write_checkpoint(folder / "runs" / "sft-7", moved=0.3)
    write_probes(folder / "probes.jsonl")
    return folder


@pytest.mark.parametrize("line", SINGLE)
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


def test_a_worker_of_its_own_joins(environ: dict[str, str], tmp_path: Path) -> None:
    assert "STREAKLINE_DATA_DIR=/tmp/streakline-worker-1 streakline stream" in commands()
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "streakline", "stream"],
            env={**environ, "STREAKLINE_DATA_DIR": str(tmp_path / "data")},
            stderr=output,
        )
    wait_until(lambda: READY in log.read_text())
    worker.terminate()
    assert worker.wait(30) == 0


def test_a_diff_worker_joins(environ: dict[str, str], models: Path, tmp_path: Path) -> None:
    assert DIFF_WORKER in commands()
    with running_diff_service(tmp_path, models, environ) as worker:
        worker.wait_until_ready()
        worker.process.terminate()
        assert worker.process.wait(60) == 0


def test_the_thresholds_are_thresholds() -> None:
    (example,) = blocks(README, "toml")
    assert parse_policy(example.encode()).of("assistant").divergence_rise == 1.0


def test_no_command_is_left_untested() -> None:
    continuous_integration = (ROOT / ".ci" / "run").read_text()
    for line in commands():
        if line in SINGLE or line == "streakline up":
            continue
        if line.startswith("make "):
            assert line.removeprefix("make ") in continuous_integration.split(), line
        else:
            assert line in {
                f"export STREAKLINE_KAFKA_BOOTSTRAP={KafkaSettings().kafka_bootstrap}",
                "STREAKLINE_DATA_DIR=/tmp/streakline-worker-1 streakline stream",
                DIFF_WORKER,
            }


@pytest.mark.parametrize("path", links(README))
def test_a_link_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
