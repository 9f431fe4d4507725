"""Commands of the pages that take minutes or hours are looked up, not run: they are there, with those options."""

import re
import shlex
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import BENCHMARKS
from tests.commands import streakline
from tests.documents import ROOT, commands, prose
from tests.faults.__main__ import _parser as faults_parser
from tests.unit.test_documents import PAGES, name

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z0-9]+):.*##", MAKEFILE, re.MULTILINE))


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def test_reliability() -> None:
    ten_rounds, one_case, part = commands(page("reliability.md"))
    for line in (ten_rounds, one_case):
        faults_parser().parse_args(shlex.split(line.removeprefix(".venv/bin/python -m tests.faults ")))
    found = re.fullmatch(r"STREAKLINE_FAULT_SEED=\d+ \.venv/bin/pytest (\S+)", part)
    assert found is not None
    assert (ROOT / found[1]).exists()
    assert "STREAKLINE_FAULT_SEED" in (ROOT / found[1]).read_text()


def test_hostile_input() -> None:
    assert commands(page("hostile-input.md")) == ["make fuzz", "FUZZ_SECONDS=3600 make fuzz"]
    assert '"FUZZ_SECONDS"' in (ROOT / "tests" / "fuzz" / "__main__.py").read_text()


def test_development() -> None:
    text = page("development.md")
    assert set(commands(text)) <= {f"make {target}" for target in (ROOT / ".ci" / "run").read_text().split()}
    assert set(re.findall(r"^\| `make (\w+)`", text, re.MULTILINE)) == TARGETS - {
        "help",
        "setup",
        "constraints",
        "clean",
    }


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_what_is_named_in_a_sentence_is_there(path: Path) -> None:
    text = prose(path.read_text())
    assert set(re.findall(r"`make ([a-z]+)`", text)) <= TARGETS
    assert set(re.findall(r"python -m tests\.benchmarks (\w+)", text)) <= set(BENCHMARKS)
    commands = set(re.findall(r"`streakline ([a-z][a-z-]*)", text))
    assert {command for command in commands if streakline(command, "--help").code != 0} == set()
