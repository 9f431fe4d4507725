"""The figures of what is not seen: those on the pages are those that the engine and the SAE diff give today."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.benchmarks import new_features
from tests.benchmarks.blind_spots import ENDS, pages
from tests.documents import ROOT, with_between


@pytest.mark.parametrize("page", [ROOT / "docs" / "signals.md", ROOT / "README.md"], ids=lambda page: page.name)
def test_the_tables_of_a_page_are_those_of_the_engine(page: Path) -> None:
    made = page.read_text()
    for begins, lines in pages()[page].items():
        made = with_between(made, begins, ENDS, lines)
    assert page.read_text() == made, "run `make docs`"


def figures(lines: Sequence[str]) -> list[float]:
    return [float(figure) for line in lines for figure in re.findall(r"\d+(?:\.\d+)?", line)]


def test_what_an_sae_says_of_what_is_new_is_what_the_page_says() -> None:
    """Processors add up in different orders: a feature at a threshold may fall to its other side."""
    _, _, rest = new_features.PAGE.read_text().partition(new_features.BEGINS)
    shown = rest.partition(new_features.ENDS)[0].strip().splitlines()
    assert figures(shown) == pytest.approx(figures(new_features.lines()), rel=0.02, abs=3)
