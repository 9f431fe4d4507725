"""A seeded part of the kill matrix; all of it is `make faults`."""

import os
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from tests.faults.__main__ import command_for
from tests.faults.cases import Case, Figures, How, Place, When
from tests.faults.kept import keep, kept
from tests.faults.matrix import ROLES, all_cases, few_cases, run
from tests.faults.table import Played, table, write

SEED = int(os.environ.get("STREAKLINE_FAULT_SEED", "1"))


@pytest.mark.parametrize("case", few_cases(SEED), ids=lambda case: case.name)
def test_nothing_is_lost_and_nothing_comes_twice_that_counts(
    case: Case, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    figures = run(case, Place(kafka, topics, tmp_path))
    assert figures.is_right, f"{figures}; STREAKLINE_FAULT_SEED={SEED}; again: {command_for(case)}"


@pytest.mark.parametrize("seed", range(20))
def test_a_few_cases_have_every_fault_every_situation_and_everybody(seed: int) -> None:
    cases = few_cases(seed)
    assert {case.how for case in cases} == set(get_args(How))
    assert {case.who for case in cases} == set(ROLES)
    for who in ROLES:
        situations = {case.when for case in all_cases(seed) if case.who == who}
        assert {case.when for case in cases if case.who == who} == situations
    assert {case.when for case in cases} == set(get_args(When))
    assert len(cases) == len(set(cases))
    assert cases == few_cases(seed)


def test_what_was_played_is_kept_right_or_not(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    case = Case("archiver", "SIGKILL", "rebalance", 7)
    played = [Played(case, Figures(expected=9, missing=missing, extra=0, duplicates=0)) for missing in (0, 1)]
    assert kept(None) == kept(path) == []
    for each in played:
        keep(path, each)
        keep(None, each)
    assert kept(path) == played


def test_the_table_has_a_row_for_a_cell_and_stands_between_the_markers_of_its_page(tmp_path: Path) -> None:
    case = Case("publisher", "SIGTERM", "recovery", 1)
    played = [
        Played(case, Figures(expected=1_000, missing=0, extra=1, duplicates=2)),
        Played(replace(case, seed=2), Figures(expected=500, missing=3, extra=0, duplicates=7, lag=4)),
    ]
    *_, row = lines = table(played)
    assert row == "| publisher | SIGTERM | recovery | 2 | 1,500 | 3 | 1 | 7 | 0 | 0 | 4 |"
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures: made by `make faults` -->\nold\n<!-- end of figures -->\nafter\n")
    for _ in range(2):
        write(page, lines)
    assert page.read_text().split("\n") == [
        "before",
        "<!-- figures: made by `make faults` -->",
        "",
        *lines,
        "",
        "<!-- end of figures -->",
        "after",
        "",
    ]
