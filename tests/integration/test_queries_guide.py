"""Every question and command of docs/queries.md, asked of a lake of which the answers are known."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import mean

import pytest

from tests.asked_lake import RUNS, write_asked_lake
from tests.commands import Ended, streakline
from tests.documents import ROOT, blocks

FOLDER = ROOT / "docs"
GUIDE = (FOLDER / "queries.md").read_text()

# Heading → SQL and what is shown of the answer.
QUESTIONS = {
    heading: (blocks(section, "sql")[0], blocks(section, "text")[0])
    for heading, section in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", GUIDE, re.DOTALL | re.MULTILINE)
    if blocks(section, "sql")
}
OF_BASE = [run for run in RUNS if run.base == "base-1b"]


def _shifts(feature: int) -> list[float]:
    return [abs(run.shifts[feature]) for run in OF_BASE if feature in run.shifts]


# What follows from what is in the lake, in the order of the document; floats to six digits.
EXPECTED: list[list[tuple[object, ...]]] = [
    [
        (run.name, run.code, run.prior[0], run.prior[1], round(100 * (run.prior[1] - run.code)), *run.prior[2:])
        for run in sorted(RUNS, key=lambda run: -run.day)
        if run.prior is not None
    ],
    [
        (feature, f"' token {feature}'", sum(shift >= 0.2 for shift in _shifts(feature)), mean(_shifts(feature)))
        for feature in sorted({7, 9, 11}, key=lambda feature: -mean(_shifts(feature)))
    ],
    [("sft-3", 0, 40, 2, True, 1.0)],
    [("capitals", 4, 3, 2, 0.25), ("rivers", 2, 2, 2, 0.25)],
    [
        (run.name, 0.5, (run.code + run.factual) / 2, 0.5, run.robustness)
        for run in sorted(RUNS, key=lambda run: run.robustness)
        if run.verdicts == ("improved", "regressed")
    ],
    [
        ("assistant", "sft-1", "2026-01-01T01:00:00Z", 0.8, None),
        ("assistant", "sft-2", "2026-01-02T01:00:00Z", 0.82, 0.02),
        ("assistant", "sft-3", "2026-01-03T01:00:00Z", 0.6, -0.22),
        ("assistant", "sft-4", "2026-01-10T01:00:00Z", 0.64, 0.04),
        ("search", "other-2", "2026-01-04T01:00:00Z", 0.4, None),
    ],
    [
        (float(rate), len(robustness), mean(robustness))
        for rate in ("1e-5", "2e-5", "1e-3")
        if (robustness := [run.robustness for run in RUNS if run.learning_rate == rate])
    ],
    [
        ("base-1b", 8, 4, mean(run.layer_8_share for run in OF_BASE), 0.6, 1),
        ("base-1b", 4, 4, 0.05, 0.05, 0),
        ("base-7b", 8, 1, 0.9, 0.9, 0),
        ("base-7b", 4, 1, 0.05, 0.05, 0),
    ],
    [(run.name, 0.1, run.ece, 0.06, run.ece) for run in sorted(RUNS, key=lambda run: -run.ece) if run.ece > 0.1 + 0.06],
    [("factual", "rivers", len(RUNS), mean(run.ece + 0.1 for run in RUNS), 0.1)],
    [(probe, sum(probe in run.forgotten for run in RUNS), 0.9, 0.02) for probe in ("c2", "r1")],
    [("failed-1", "CUDA out of memory", ["loss_diverging", "non_finite"])],
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lake")
    write_asked_lake(root)
    return root


def ask(sql: str, lake: Path, *options: str) -> Ended:
    ended = streakline("query", "-", "--lake", lake, *options, stdin=sql.encode())
    assert (ended.code, ended.err) == (0, "")
    return ended


def test_there_are_a_dozen_and_each_has_an_answer() -> None:
    assert len(QUESTIONS) == len(EXPECTED) == len(blocks(GUIDE, "sql")) == len(blocks(GUIDE, "text")) == 12


@pytest.mark.parametrize(("heading", "expected"), list(zip(QUESTIONS, EXPECTED, strict=True)))
def test_the_answer_is_right_and_is_the_one_that_is_shown(
    heading: str, expected: list[tuple[object, ...]], lake: Path
) -> None:
    sql, shown = QUESTIONS[heading]
    rows = [tuple(json.loads(line).values()) for line in ask(sql, lake, "--format", "jsonl").lines]
    assert len(rows) == len(expected)
    for row, right in zip(rows, expected, strict=True):
        assert [pytest.approx(known, abs=1e-6) if isinstance(known, float) else known for known in right] == list(row)
    assert ask(sql, lake).out == shown


@pytest.mark.parametrize("line", [line for block in blocks(GUIDE, "sh") for line in block.splitlines()])
def test_a_command_does_what_it_says(line: str, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(line)
    assert program == "streakline"
    ended = streakline(*arguments, environ={"STREAKLINE_LAKE": str(lake)})
    assert (ended.code, ended.err) == (0, "")
    assert ended.out or (tmp_path / "unsure.parquet").stat().st_size


@pytest.mark.parametrize("snippet", blocks(GUIDE, "python"))
def test_a_snippet_reads_what_was_kept(snippet: str, lake: Path, tmp_path: Path) -> None:
    match = re.match(r"import (\w+)", snippet)
    assert match is not None
    if find_spec(match[1]) is None:
        pytest.skip(f"{match[1]} is no dependency and is not installed: pip install {match[1]} has this run")
    ask("SELECT * FROM low_confidence_rows", lake, "-o", str(tmp_path / "unsure.parquet"))
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
    )
    assert [
        row.split()[:2] for row in ended.stdout.decode().splitlines() if row.startswith(("capitals", "rivers"))
    ] == [
        ["capitals", "4"],
        ["rivers", "2"],
    ]
