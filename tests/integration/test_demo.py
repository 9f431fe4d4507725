"""The demo on the real pipeline, with one trainer; `make demo` plays all of it."""

import io
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from streakline.demo.run import DemoError, run_demo
from streakline.demo.scenarios import scenario_of
from tests.commands import streakline


def played(folder: Path, **changes: object) -> tuple[bool, str]:
    """The demo with the plateau's trainer, changed: how it ended and what it showed."""
    page = io.StringIO()
    scenario = replace(scenario_of("plateau"), **changes)
    succeeded = run_demo(folder / "state", Console(file=page, width=160), scenarios=(scenario,))
    return succeeded, page.getvalue()


def test_the_demo_shows_what_fired_and_that_it_is_right(tmp_path: Path) -> None:
    succeeded, page = played(tmp_path)
    assert succeeded, page
    table = page[page.index("\nrun ") :].splitlines()
    rows = [line.split("  ")[0] for line in table if line.startswith(("demo-", "smol-"))]
    assert rows == ["demo-plateau", "smol-normal", "smol-diverge", "smol-dead"]
    assert any("loss_plateau (stop)" in line for line in table)
    assert "exactly what an offline replay of the steps gives" in page
    # Nothing was left unread when it was compared.
    assert f"{260 + 100 + 50 + 50} steps of 4 runs" in page
    assert "where to look next:" in page


def test_an_expected_signal_that_does_not_come_is_a_failure(tmp_path: Path) -> None:
    succeeded, page = played(tmp_path, expected=("loss_plateau", "non_finite"), forbidden=("loss_plateau",))
    assert not succeeded
    assert "demo-plateau: non_finite was expected and did not fire" in page
    assert "demo-plateau: loss_plateau fired and should not have" in page


def test_a_trainer_that_dies_ends_the_demo_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"no-such-scenario ended with status 2: see .*no-such-scenario\.log"):
        played(tmp_path, name="no-such-scenario")


def test_a_folder_in_use_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = streakline("demo", "--state-dir", tmp_path / "file" / "state")
    assert ended.code == 1
    assert ended.err.startswith("streakline: cannot keep the demo's files in ")
