"""What SECURITY.md says of tests is so, and what the build depends on is what was looked at."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.documents import ROOT, links

POLICY = (ROOT / "SECURITY.md").read_text()
GUARDS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", POLICY)))
PRODUCT = [
    path for folder in ("producers", "stream_app", "workers", "streakline") for path in ROOT.glob(f"{folder}/**/*.py")
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VENDORED = ROOT / "streakline" / "web" / "vendor"


@pytest.mark.parametrize(("file", "name"), GUARDS, ids=lambda each: str(each).rpartition("/")[2])
def test_a_guard_has_the_test_that_it_names(file: str, name: str) -> None:
    assert f"\ndef {name}(" in (ROOT / file).read_text()


def test_every_threat_has_a_test() -> None:
    tables = re.findall(r"^\|.*\| test \|\n\|[-|]+\|\n((?:\|.*\n)+)", POLICY, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) > 40
    assert [row for row in rows if "::test_" not in row.rpartition(" | ")[2]] == []


def test_every_test_of_a_threat_is_named() -> None:
    written = {
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / "tests" / "security").glob("*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
        if path != Path(__file__)
    }
    assert written - set(GUARDS) == {("tests/security/test_pickles.py", "test_the_mark_would_be_made")}


def test_what_it_links_to_is_there() -> None:
    assert all((ROOT / path).exists() for path in links(POLICY))


def test_an_exemption_from_a_rule_of_security_says_why() -> None:
    lines = [(path.name, line.strip()) for path in PRODUCT for line in path.read_text().splitlines()]
    exempt = [(name, line) for name, line in lines if re.search(r"noqa: (?:\w+, ?)*S\d", line)]
    assert exempt
    assert [each for each in exempt if not re.search(r"noqa: [A-Z0-9, ]+? +(?:#|-) +[\w`]", each[1])] == []


def test_what_is_required_is_pinned_and_comes_from_an_index() -> None:
    """No branch of a repository and no file of somebody's server, whose content may change under its name."""
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.!+]+", pin)] == []
    pinned = {_normal(pin.partition("==")[0]) for pin in pins}
    required = [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ]
    assert [each for each in required if "@" in each or "://" in each] == []
    names = {_normal(re.split(r"[\[<>=!;~ ]", each)[0]) for each in required}
    # Only `make fuzz` installs atheris, which is not there for every Python.
    assert names - pinned == {"streakline", "atheris"}


def test_what_is_installed_is_what_is_pinned() -> None:
    """Of what is required directly: what was tested is what `make audit` asks about."""
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    installed = {name: version(name).partition("+")[0] for name in pins}
    assert installed == pins


def test_what_came_from_others_has_its_licence() -> None:
    """And nothing else is in that folder: it is said there which release it is, unchanged."""
    names = {path.name for path in VENDORED.iterdir()}
    assert names == {"README.md", "uPlot.LICENSE", "uPlot.iife.min.js", "uPlot.min.css"}
    assert "unchanged" in (VENDORED / "README.md").read_text()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
