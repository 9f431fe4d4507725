"""Next steps come through a shell as they were meant, whatever is in them."""

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streakline.report.commands import Commands, command, shell_quoted
from tests.reported_lake import HOSTILE, HOSTILE_CATEGORY, HOSTILE_LAYER
from workers.lake.statements import statements


@given(st.text())
def test_a_word_stays_one_word(text: str) -> None:
    assert shlex.split(shell_quoted(text)) == [text]


@pytest.mark.parametrize(
    "text", [*HOSTILE[:4], HOSTILE_CATEGORY, HOSTILE_LAYER, "it's", "a 'b' \"c\" $d `e` \\f !g", ""]
)
def test_a_real_shell_agrees(text: str) -> None:
    shown = subprocess.run(["sh", "-c", f"printf %s {shell_quoted(text)}"], check=True, capture_output=True)
    assert shown.stdout.decode() == text


@given(st.text())
def test_what_does_not_print_is_not_typed(text: str) -> None:
    line = command("streakline", text)
    assert (line is not None) == text.isprintable()


@pytest.mark.parametrize("category", ["code", HOSTILE_CATEGORY, "a'; DROP TABLE x; --"])
def test_a_question_about_anything_is_one_question(category: str) -> None:
    line = Commands(run_id="sft-7", diff_id="d" * 16).answered_differently(category, "sft-6", "c" * 16)
    assert line is not None
    _, _, sql = shlex.split(line)
    assert len(statements(sql)) == 1


def test_a_lake_elsewhere_is_named() -> None:
    line = Commands(run_id="sft-7", lake="/mnt/the lake").of_attempt(0, "step", "LIMIT 1")
    assert line is not None
    assert shlex.split(line)[3:] == ["--lake", "/mnt/the lake"]


def test_what_a_shell_takes_for_an_option_is_not_offered() -> None:
    assert Commands(run_id="sft-7").diff("-rf", "runs/sft-7", "p") is None
    assert Commands(run_id="sft-7").diff("models/base", "runs/sft-7", "p") == (
        "streakline diff models/base runs/sft-7 --run-id sft-7 --project p"
    )
