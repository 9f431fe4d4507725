"""The demo on the real pipeline, with a trainer or two; `make demo` plays all of it."""

import io
import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from streakline.alerting import INSTALL, find_binaries
from streakline.demo.run import DemoError, run_demo
from streakline.demo.scenarios import Scenario, scenario_of
from tests.commands import streakline


def played(folder: Path, *scenarios: Scenario) -> tuple[bool, str]:
    """The demo with these trainers: how it ended and what it showed."""
    page = io.StringIO()
    succeeded = run_demo(folder / "state", Console(file=page, width=160), scenarios=scenarios)
    return succeeded, page.getvalue()


def test_the_demo_shows_what_fired_that_it_is_right_and_who_was_told(tmp_path: Path) -> None:
    find_binaries()
    succeeded, page = played(tmp_path, scenario_of("exploding-lr"), scenario_of("plateau"))
    assert succeeded, page
    table, told = (block.splitlines() for block in page[page.index("\nrun ") + 1 :].split("\nrun ", 1))
    rows = [line.split("  ")[0] for line in table if line.startswith(("demo-", "smol-"))]
    assert rows == ["demo-exploding-lr", "demo-plateau", "smol-normal", "smol-diverge", "smol-dead"]
    assert any("loss_plateau (stop)" in line for line in table)
    assert any(re.match(r"demo-exploding-lr +loss_diverging +critical +pager +\d+\.\d s$", line) for line in told)
    assert any(re.match(r"smol-dead +dead_layers +warning +nobody: a replay of old steps", line) for line in told)
    assert "exactly what an offline replay of the steps gives" in page
    assert "who has to be told of a signal was" in page
    # Nothing was left unread when it was compared.
    assert f"{210 + 260 + 100 + 50 + 50} steps of 5 runs" in page
    assert "where to look next:" in page


def test_an_expected_signal_that_does_not_come_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The rest of it does without Prometheus.
    monkeypatch.setenv("PATH", str(tmp_path))
    plateau = scenario_of("plateau")
    impossible = replace(plateau, expected=("loss_plateau", "non_finite"), forbidden=("loss_plateau",))
    succeeded, page = played(tmp_path, impossible)
    assert not succeeded
    assert f"alerts are off: prometheus is not installed: {INSTALL}" in page
    assert "demo-plateau: non_finite was expected and did not fire" in page
    assert "demo-plateau: loss_plateau fired and should not have" in page


def test_a_trainer_that_dies_ends_the_demo_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"no-such-scenario ended with status 2: see .*no-such-scenario\.log"):
        played(tmp_path, replace(scenario_of("plateau"), name="no-such-scenario"))


def test_a_folder_in_use_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = streakline("demo", "--state-dir", tmp_path / "file" / "state")
    assert ended.code == 1
    assert ended.err.startswith("streakline: cannot keep the demo's files in ")
