"""What of a long timeline a plot keeps."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from streakline.report.thinning import LONGEST, Column, buckets, kept


def column(raw: bytes) -> Column:
    """A quarter of it gaps. Bytes are drawn far faster than lists of numbers."""
    return [None if byte < 64 else float(byte) for byte in raw]


@st.composite
def series(draw: st.DrawFn) -> tuple[list[Column], list[int], int]:
    """Two columns, what is marked of them, and how many points are wanted."""
    length = draw(st.integers(1, 300))
    columns = [column(draw(st.binary(min_size=length, max_size=length))) for _ in range(2)]
    marked = draw(st.lists(st.integers(0, length - 1), max_size=10))
    return columns, marked, draw(st.integers(30, 90))


def gaps(column: Column) -> int:
    """Stretches of None."""
    return sum(value is None and (not at or column[at - 1] is not None) for at, value in enumerate(column))


@settings(deadline=None)
@given(series())
def test_what_is_kept(made: tuple[list[Column], list[int], int]) -> None:
    columns, marked, longest = made
    length = len(columns[0])
    places = kept(columns, marked, longest)
    assert places == sorted(set(places))
    assert len(places) <= longest
    assert {0, length - 1, *marked} <= set(places)
    if length <= longest:
        assert places == list(range(length))
    for column in columns:
        of_all, of_kept = (
            [value for value in some if value is not None] for some in (column, [column[n] for n in places])
        )
        if of_all:
            assert (min(of_kept), max(of_kept)) == (min(of_all), max(of_all))
        assert (gaps(column) > 0) == (gaps([column[place] for place in places]) > 0)


@settings(deadline=None)
@given(series())
def test_doing_it_again_changes_nothing(made: tuple[list[Column], list[int], int]) -> None:
    columns, marked, longest = made
    places = kept(columns, marked, longest)
    again: list[Column] = [[column[place] for place in places] for column in columns]
    assert kept(again, [places.index(place) for place in marked], longest) == list(range(len(places)))


@settings(deadline=None, max_examples=10)
@given(st.randoms(use_true_random=True))
def test_every_bucket_of_a_long_run_has_its_extremes(random: Random) -> None:
    columns: list[list[float]] = [[random.uniform(-9, 9) for _ in range(20_000)] for _ in range(2)]
    places = set(kept(columns))
    for column in columns:
        for start, stop in buckets(len(column), (LONGEST - 2) // 4):
            shown = [column[place] for place in range(start, stop) if place in places]
            assert (min(shown), max(shown)) == (min(column[start:stop]), max(column[start:stop]))


def test_a_single_value_that_is_none_is_kept_with_both_sides() -> None:
    column: list[float | None] = [1.0] * 100_000
    column[54_321] = None
    assert {54_320, 54_321, 54_322} <= set(kept([column, [2.0] * 100_000]))


def test_the_edges_of_a_long_gap_are_kept() -> None:
    column = [1.0] * 30_000 + [None] * 40_000 + [1.0] * 30_000
    assert {29_999, 30_000, 69_999, 70_000} <= set(kept([column, [2.0] * 100_000]))


def test_a_column_that_was_not_measured_costs_no_points() -> None:
    column = [float(number % 7) for number in range(100_000)]
    assert len(kept([column, [None] * 100_000])) <= LONGEST // 2


def test_gaps_all_over_keep_the_bound() -> None:
    random = Random(0)
    columns = [[None if random.random() < 0.5 else random.random() for _ in range(100_000)] for _ in range(2)]
    marked = range(0, 100_000, 100)
    places = kept(columns, marked)
    assert len(places) <= LONGEST
    assert set(marked) <= set(places)


def test_where_more_is_marked_than_fits_it_is_all_kept() -> None:
    assert set(range(0, 1000, 2)) <= set(kept([[1.0] * 1000], range(0, 1000, 2), longest=100))
