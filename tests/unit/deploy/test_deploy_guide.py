"""docs/deploy.md: its commands are commands, and its tables those of deploy/compose.yaml."""

import os
import re
import shlex
import subprocess

import pytest

from tests.commands import streakline
from tests.composed import FILE, composed, docker_compose
from tests.documents import ROOT, blocks, links

DOCUMENT = (ROOT / "docs" / "deploy.md").read_text()
LINES = [line for block in blocks(DOCUMENT, "sh") for line in block.splitlines()]
COMPOSE = [line for line in LINES if line.startswith("docker compose ")]


def test_it_has_no_other_commands() -> None:
    others = [line for line in LINES if line not in COMPOSE and not line.startswith(("make ", "apt-get ", "export "))]
    assert others == ["deploy/compose/secrets.sh"]
    assert os.access(ROOT / others[0], os.X_OK)


@pytest.mark.parametrize("line", COMPOSE)
def test_a_command_is_one_that_docker_compose_knows(line: str) -> None:
    words = shlex.split(line)[2:]
    verb = next(word for word in words if word in {"up", "ps", "logs", "exec", "run", "stop"})
    before, after = words[: words.index(verb)], words[words.index(verb) + 1 :]
    told = subprocess.run(
        [docker_compose(), *before, verb, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    flags = [word for word in after if word.startswith("--")]
    named = [word for word in after if not word.startswith("--")]
    assert before[:2] == ["--file", str(FILE.relative_to(ROOT))]
    assert all(re.search(rf"{flag}\b", told.stdout) for flag in flags)
    assert not named or named[0] in composed().services
    if verb in {"exec", "run"}:
        # The image of ours begins with `streakline` itself.
        command = [word for word in named[1:] if word != "streakline"]
        assert streakline(*command, "--help").code == 0


def test_the_variables_are_those_of_the_file() -> None:
    rows = re.findall(r"^\| (`STREAKLINE_\w+`(?:, `STREAKLINE_\w+`)*) \| ([^|]*) \|", DOCUMENT, re.MULTILINE)
    told = {name: default for names, default in rows for name in re.findall(r"\w+", names)}
    used = dict(re.findall(r"\$\{(STREAKLINE_\w+):-([^}]*)\}", FILE.read_text()))
    assert set(told) == set(used)
    for name, default in used.items():
        assert f"`{default}`" in told[name] or "this machine's" in told[name], name


def test_the_services_are_those_of_the_file() -> None:
    table = DOCUMENT[DOCUMENT.index("| service |") : DOCUMENT.index("Every container runs")]
    first = "\n".join(line.split("|")[1] for line in table.strip().splitlines()[2:])
    assert set(re.findall(r"`([\w-]+)`", first)) == set(composed().services)


def test_the_ports_are_those_of_the_file() -> None:
    told = set(re.findall(r"127\.0\.0\.1:(\d+)", DOCUMENT[: DOCUMENT.index("## What runs")]))
    assert told == {port.published for service in composed().services.values() for port in service.ports}


@pytest.mark.parametrize("path", links(DOCUMENT))
def test_a_link_leads_somewhere(path: str) -> None:
    assert (ROOT / "docs" / path).exists()
