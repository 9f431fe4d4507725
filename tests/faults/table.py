"""What came of many cases, as the table of ``docs/reliability.md``."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from tests.documents import put_between
from tests.documents import table as markdown
from tests.faults.cases import Case, Figures

_BEGINS = "<!-- figures: made by `make faults` -->"
_ENDS = "<!-- end of figures -->"
_TITLES = (
    "who",
    "what is done to it",
    "when",
    "rounds",
    "expected results",
    "missing",
    "extra",
    "duplicates, at most",
    "wrong states",
    "half-written files",
    "lag",
)


class Played(Struct, frozen=True):
    """A case, and what came of it."""

    case: Case
    figures: Figures

    @property
    def line(self) -> str:
        """For whoever waits."""
        figures = self.figures
        found = (
            f"{figures.expected} expected, {figures.missing} missing, {figures.extra} extra, "
            f"{figures.duplicates} twice, {figures.wrong_states} wrong states, {figures.half_written} half-written, "
            f"lag {figures.lag}"
        )
        return f"{found}; {figures.note}" if figures.note else found


def table(played: Iterable[Played]) -> list[str]:
    """A row for each cell of the matrix, its figures those of all rounds together."""
    cells: dict[tuple[str, str, str], list[Figures]] = {}
    for each in played:
        cells.setdefault((each.case.who, each.case.how, each.case.when), []).append(each.figures)
    return markdown(_TITLES, [(*cell, str(len(rounds)), *_sums(rounds)) for cell, rounds in cells.items()])


def write(page: Path, lines: Sequence[str]) -> None:
    """Put `lines` between the page's markers."""
    put_between(page, _BEGINS, _ENDS, lines)


def _sums(rounds: Sequence[Figures]) -> tuple[str, ...]:
    return (
        f"{sum(each.expected for each in rounds):,}",
        str(sum(each.missing for each in rounds)),
        str(sum(each.extra for each in rounds)),
        str(max(each.duplicates for each in rounds)),
        str(sum(each.wrong_states for each in rounds)),
        str(sum(each.half_written for each in rounds)),
        str(sum(each.lag for each in rounds)),
    )
