import subprocess
import sys

import pytest

from workers.behaviour.corruptions import CORRUPTIONS, corrupted

PROMPT = "The capital of the old kingdom of Bohemia is"


def test_every_corruption_applies_and_changes_the_prompt() -> None:
    damaged = corrupted(PROMPT, "p1")
    assert set(damaged) == set(CORRUPTIONS)
    assert PROMPT not in damaged.values()


def test_damage_is_of_its_kind() -> None:
    damaged = corrupted(PROMPT, "p1")
    assert sorted(damaged["typos"]) == sorted(PROMPT)
    assert damaged["case"].lower() == PROMPT.lower()
    assert damaged["filler"].endswith(PROMPT)
    assert len(damaged["dropped_word"].split()) == len(PROMPT.split()) - 1
    assert damaged["doubled_spaces"].split() == PROMPT.split()
    assert damaged["dropped_word"].endswith(" is")


def test_the_same_in_another_process() -> None:
    code = f"from workers.behaviour.corruptions import corrupted; print(corrupted({PROMPT!r}, 'p1'))"
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert other.stdout.strip() == str(corrupted(PROMPT, "p1"))


def test_pinned() -> None:
    assert corrupted("The capital of France is", "p1") == PINNED


def test_probes_are_damaged_differently() -> None:
    assert len({tuple(corrupted(PROMPT, f"p{number}").items()) for number in range(10)}) > 1


@pytest.mark.parametrize("prompt", ["", "1 2", "a\nb", "def f(x):\n    return"])
def test_only_what_applies(prompt: str) -> None:
    damaged = corrupted(prompt, "p")
    assert prompt not in damaged.values()
    assert all(text.count("\n") == prompt.count("\n") for text in damaged.values())


PINNED = {
    "typos": "The cpaital of France is",
    "case": "the capital of france is",
    "filler": "Um, The capital of France is",
    "dropped_word": "capital of France is",
    "doubled_spaces": "The  capital  of France is",
}
"""draws may never change: scores of runs that are far apart are compared"""
