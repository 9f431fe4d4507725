"""docs/quick-start.md, block by block as it stands there, on the real stack; then the commands of docs/runbook.md.

Only ports are the test's own: somebody else may have those that the pages name.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from streakline.alerting import find_binaries
from streakline.processes import free_port
from tests.commands import said_until_up
from tests.documents import ROOT, blocks, commands
from tests.worker import wait_until

PAGE = (ROOT / "docs" / "quick-start.md").read_text()
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
CI = (ROOT / ".ci" / "run").read_text()

INSTALL, SET_UP, UP, TRAIN, SIGNALS, RUNS, QUERY, REPORT, DEMO = (block.strip() for block in blocks(PAGE, "sh"))
STARTED, SIGNAL, PAGED, DIFFED, SCORES, REPORTED = blocks(PAGE, "text")
(PROGRAM,) = blocks(PAGE, "python")

OTHERS = [line for line in commands(RUNBOOK) if not line.startswith("streakline ")]
"""those of its commands that are not ours; ours are run by the tests of each"""


class Reader:
    """Somebody who has two terminals: in one `streakline up` runs, in the other they type."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._dashboard = free_port()
        mine = {
            "STREAKLINE_UP_PORT": str(free_port()),
            "STREAKLINE_UP_METRICS_PORT": str(free_port()),
            "STREAKLINE_DASHBOARD_PORT": str(self._dashboard),
            # The tests beside this one want a core, too.
            "OMP_NUM_THREADS": "1",
        }
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = {**os.environ, **mine, "PATH": path, "PYTHONPATH": str(ROOT)}
        self.up = subprocess.Popen(shlex.split(UP), cwd=folder, env=environ, stderr=subprocess.PIPE)
        self.said = said_until_up(self.up)
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()
        (exports,) = (line for line in self.said if line.startswith("other commands: export "))
        exported = dict(each.split("=", 1) for each in shlex.split(exports.removeprefix("other commands: export ")))
        self._environ = {**environ, **exported}

    def _listen(self) -> None:
        assert self.up.stderr is not None
        self.said += (line.decode().rstrip("\n") for line in self.up.stderr)

    def leaves(self) -> int:
        """Ctrl-C; the exit code."""
        self.up.send_signal(signal.SIGINT)
        self._listening.join(60)
        assert self.up.stderr is not None
        self.up.stderr.close()
        return self.up.wait(60)

    def types(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", self._here(line)],
            check=False,
            cwd=self.folder,
            env=self._environ,
            timeout=900,
            capture_output=True,
            text=True,
        )

    def sees(self, line: str, shown: str) -> bool:
        """Whether the command says what the page shows, but for its figures."""
        ended = self.types(line)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return says(ended.stdout, shown)

    def opens(self, url: str) -> str:
        with urllib.request.urlopen(url.replace(":8800", f":{self._dashboard}"), timeout=30) as answer:
            return str(answer.read().decode())

    def _here(self, line: str) -> str:
        """The command with the ports that `up` said it took."""
        for port, name in ((9464, "stream-1"), (9466, "archive"), (9090, "prometheus"), (9093, "alertmanager")):
            (address,) = (re.findall(r"127\.0\.0\.1:\d+", said)[0] for said in self.said if said.startswith(f"{name} "))
            line = line.replace(f"127.0.0.1:{port}", address)
        return line


def says(said: str, shown: str) -> bool:
    """Whether every line that is shown was said, but for the figures in it and the spaces between columns."""
    return {*map(_without_figures, shown.splitlines())} <= {*map(_without_figures, said.splitlines())}


def _without_figures(line: str) -> str:
    return " ".join(re.sub(r"\d[\d.,:eE-]*Z?", "0", line).split())


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    find_binaries()
    reader = Reader(tmp_path_factory.mktemp("quick-start"))
    yield reader
    assert reader.leaves() == 130


def test_what_is_installed_is_what_the_build_installs() -> None:
    """As root, and for minutes: the build does both on a new machine."""
    update, install = INSTALL.splitlines()
    assert update == "apt-get update"
    packages = install.removeprefix("apt-get install --yes ").split()
    assert len(packages) == 5
    assert set(packages) <= set(CI.split())
    makes, _ = SET_UP.splitlines()
    assert re.search(rf"^{makes.removeprefix('make ')}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert DEMO == "make demo"
    assert "demo" in CI.split()


@pytest.mark.timeout(2400)
def test_it_reaches_a_signal_a_page_a_diff_and_a_report(reader: Reader) -> None:
    assert says("\n".join(reader.said), STARTED)
    (reader.folder / TRAIN.split()[-1]).write_text(PROGRAM)
    trained = reader.types(TRAIN)
    assert trained.returncode == 0, trained.stderr
    wait_until(lambda: reader.sees(SIGNALS, SIGNAL))
    wait_until(lambda: says("\n".join(reader.said), PAGED))
    wait_until(lambda: reader.sees(RUNS, DIFFED), timeout_seconds=900)
    assert reader.sees(QUERY, SCORES)
    # The archive is ten seconds behind, and whoever reads the page is not as fast as this.
    wait_until(lambda: reader.sees(REPORT, REPORTED))
    assert "<title>sft-7" in (reader.folder / "sft-7.html").read_text()
    (address,) = re.findall(r"<(http://127\.0\.0\.1:8800/runs/[^>]+)>", PAGE)
    assert "sft-7" in reader.opens(address)


@pytest.mark.parametrize("line", OTHERS)
def test_what_the_runbook_has_people_type_works_there(line: str, reader: Reader) -> None:
    # grep ends with 1 where nothing is found, and with 2 where there is no file.
    right = {0, 1} if line.startswith("grep ") else {0}
    # A worker answers some seconds after it is started.
    wait_until(lambda: reader.types(line).returncode in right)
