"""README.md: short, and all that it has people type is run by a test."""

import re

from tests.documents import ROOT, blocks, commands

README = (ROOT / "README.md").read_text()


def test_its_two_commands_are_run_by_other_tests() -> None:
    """The build plays the demo as it stands; `up` is started by the test of docs/commands.md."""
    assert commands(README) == ["make demo", "streakline up"]
    assert "demo" in (ROOT / ".ci" / "run").read_text().split()
    assert "streakline up" in commands((ROOT / "docs" / "commands.md").read_text())


def test_the_packages_that_it_names_are_those_of_the_build() -> None:
    (packages,) = re.findall(r"`apt-get install ([^`]*)`", README)
    assert set(packages.split()) <= set((ROOT / ".ci" / "run").read_text().split())


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 110


def test_its_figures_are_those_of_the_pages_that_they_come_from() -> None:
    """Where the README repeats a figure, it is the one that was measured."""
    diffs = (ROOT / "docs" / "diffs.md").read_text()
    assert "| 5 % | 1 | 1 (it) | 0.115 → 0.116 | no | 0 | 0.115 → 0.119 | no |" in diffs
    assert "from 0.115 to 0.119" in README


def test_there_is_one_picture() -> None:
    (picture,) = (block for block in blocks(README, "") if "Kafka" in block)
    assert picture in blocks((ROOT / "docs" / "concepts.md").read_text(), "")
