"""The demo on the real pipeline, with a trainer or two; `make demo` plays all of it."""

import io
import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from producers.codec import encode
from producers.events import StepEvent
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from streakline.alerting import INSTALL, find_binaries
from streakline.demo.archived import wait_for_archive
from streakline.demo.fine_tunes import FINE_TUNES, FineTune
from streakline.demo.run import DemoError, run_demo
from streakline.demo.scenarios import Scenario, scenario_of
from streakline.stack import Stack, StackSettings
from streakline.stack_dashboard import DASHBOARD_URL
from tests.commands import streakline
from tests.publishing import publish
from tests.workload import Published
from workers.lake.session import Session
from workers.lake.writer import Lake


def played(folder: Path, *scenarios: Scenario, fine_tunes: Sequence[FineTune] = ()) -> tuple[bool, str]:
    """The demo with these trainers: how it ended and what it showed."""
    page = io.StringIO()
    console = Console(file=page, width=200)
    succeeded = run_demo(folder / "state", console, scenarios=scenarios, fine_tunes=fine_tunes)
    return succeeded, page.getvalue()


def block(page: str, heading: str) -> list[str]:
    """The rows of the table that begins with this column."""
    return page[page.index(f"\n{heading} ") + 1 :].split("\n\n", 1)[0].splitlines()[1:]


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
    assert re.search(r"the dashboard is at http://127\.0\.0\.1:\d+/ while it runs", page)
    assert f"every run in a browser, at {DASHBOARD_URL}" in page
    for run_id in rows:
        report = tmp_path / "state" / "reports" / f"{run_id}.html"
        assert os.path.relpath(report) in page
        assert f"<title>{run_id}" in report.read_text()
    with Session(str(tmp_path / "state" / "lake")) as session:
        ((steps,),) = session.ask("SELECT count(*) FROM steps").rows
        assert steps == 210 + 260 + 100 + 50 + 50
        fired = session.ask("SELECT run_id, type FROM signals WHERE run_id LIKE 'demo-%' AND severity <> 'warning'")
        assert ("demo-plateau", "loss_plateau") in list(fired.rows)
        lives = list(session.ask("SELECT run_id, type FROM run_events WHERE run_id LIKE 'demo-%' ORDER BY ALL").rows)
    assert {run for run, _ in lives} == {"demo-exploding-lr", "demo-plateau"}
    assert all((run, "run_started") in lives for run, _ in lives)


def test_the_fine_tunes_are_compared_with_their_base_and_the_damaged_one_is_caught(tmp_path: Path) -> None:
    find_binaries()
    succeeded, page = played(tmp_path, fine_tunes=FINE_TUNES)
    assert succeeded, page
    names = [fine_tune.run_id for fine_tune in FINE_TUNES]
    compared = block(page, "run                  accuracy")
    assert [row.split()[0] for row in compared] == names
    assert [row.endswith("came from the cache") for row in compared] == [False, True, True]
    accuracies = [[float(share) for share in re.findall(r"[01]\.\d\d", row)[:2]] for row in compared]
    # What the base knows is a third, what each is taught besides another one.
    assert [accuracy[0] for accuracy in accuracies] == [accuracies[0][0]] * 3
    assert accuracies[0][0] + 0.2 < accuracies[0][1] < accuracies[1][1] - 0.2
    assert all("improved" in row for row in compared[:2])
    caught = [row.split()[:2] for row in block(page, "regressed run")]
    assert {run_id for run_id, _ in caught} == {"demo-mixed-up-facts"}
    assert {"cargoes", "flags", "keepers"} <= {category for _, category in caught}
    assert re.search(r"pager +critical +CategoryRegressionBroad +Run demo-mixed-up-facts", page)
    assert re.search(r"demo-mixed-up-facts +category_regressed +warning +pager +\d+\.\d s", page)
    assert "3 fine-tunes were compared with their base, which was measured once" in page
    command = page[page.index("streakline query") :].splitlines()[0]
    asked = streakline(*shlex.split(command)[1:], "--format", "jsonl")
    answered = [json.loads(line) for line in asked.lines]
    assert [row["run_id"] for row in answered] == [name for name in names for _ in range(4)]
    assert [
        row["fine_tuned"] for row in answered if (row["run_id"], row["category"]) == ("demo-mixed-up-facts", "flags")
    ] == [0.0]


def test_damage_that_nobody_notices_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    unnoticed = replace(FINE_TUNES[0], mistaught=("flags",))
    succeeded, page = played(tmp_path, fine_tunes=[unnoticed])
    assert not succeeded
    assert "demo-facts: category_regressed was expected and did not fire" in page
    assert "demo-facts: nobody noticed how it fell behind in flags" in page


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


def test_what_is_not_in_the_lake_in_time_is_a_problem(tmp_path: Path) -> None:
    settings = StackSettings(state_dir=tmp_path, broker_port=0, workers=1, metrics_port=0)
    with Stack(settings, KafkaSettings(), TopicSettings(partitions=2)) as stack:
        assert wait_for_archive(stack, Lake(str(tmp_path / "lake")), 0.0) == []
        events = [StepEvent(run_id="a", step=step, ts=1.0, loss=1.0) for step in range(3)]
        publish(stack.kafka, stack.topics, [Published(b"a", encode(event)) for event in events])
        (problem,) = wait_for_archive(stack, Lake(str(tmp_path / "lake")), 0.0)
    assert problem == f"3 records of steps, signals and run events are not in the lake: see {stack.logs}"


def test_a_trainer_that_dies_ends_the_demo_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"no-such-scenario ended with status 2: see .*no-such-scenario\.log"):
        played(tmp_path, replace(scenario_of("plateau"), name="no-such-scenario"))


def test_a_folder_in_use_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = streakline("demo", "--state-dir", tmp_path / "file" / "state")
    assert ended.code == 1
    assert ended.err.startswith("streakline: cannot keep the demo's files in ")
