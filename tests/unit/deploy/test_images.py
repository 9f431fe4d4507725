"""What goes into the images, as far as no image has to be built for it."""

import re
import tomllib

import pytest

from deploy.image.requirements import requirements
from streakline import extras
from tests.documents import ROOT

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
PYPROJECT = (ROOT / "pyproject.toml").read_text()
LET_IN = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]


def extras_of(stage: str) -> list[str]:
    (found,) = re.findall(rf"AS {stage}-dependencies\n.*?requirements\.py ([\w ]+) >", DOCKERFILE, re.DOTALL)
    return str(found).split()


def test_the_one_without_torch_has_what_its_commands_need() -> None:
    lines = "\n".join(requirements(PYPROJECT, extras_of("stream")))
    for needed in ("faust_streaming", *extras._ARCHIVE, *extras._DASHBOARD):
        assert re.search(rf"^{needed.replace('_', '-')}\b", lines, re.MULTILINE), needed
    assert "torch" not in lines


def test_the_other_is_the_workers_extra() -> None:
    assert extras_of("workers") == ["workers"]
    assert any(line.startswith("torch") for line in requirements(PYPROJECT, ["workers"]))


def test_an_extra_that_there_is_not_is_an_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        list(requirements(PYPROJECT, ["nothing"]))


def test_torch_is_that_of_the_makefile() -> None:
    (ours,) = re.findall(r"^ARG TORCH=(.*)$", DOCKERFILE, re.MULTILINE)
    (makes,) = re.findall(r"^TORCH \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert ours == makes


def test_all_that_a_wheel_is_made_of_is_let_in() -> None:
    hatch = tomllib.loads(PYPROJECT)["tool"]["hatch"]["build"]["targets"]["wheel"]
    project = tomllib.loads(PYPROJECT)["project"]
    needed = [*hatch["packages"], *hatch["force-include"], project["readme"], *project["license-files"]]
    for path in (*needed, "pyproject.toml", "constraints.txt", "deploy/image"):
        assert any(path == entry or path.startswith(f"{entry}/") for entry in LET_IN), path
    assert all((ROOT / entry).exists() for entry in LET_IN)
