import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.lake.ranges import Range, Series, cuts, first_missing, parse_path, range_path, ranges_of

ranges = st.lists(st.builds(lambda first, size: Range(first, first + size), st.integers(0, 30), st.integers(0, 12)))


@pytest.mark.parametrize("topic", ["streakline.steps", "a-1-0a", "-", ".hidden", "x" * 112])
def test_a_path_says_what_is_in_the_file(topic: str) -> None:
    series, held = Series(topic, 3, "0123456789abcdef" * 2), Range(0, 2**63 - 1)
    path = range_path("steps", series, held)
    assert parse_path(f"s3://bucket/{path}", topic) == (series, held)
    assert parse_path(path, "other") is None
    assert len(path.rpartition("/")[2]) < 240
    assert not path.rpartition("/")[2].startswith(".")


@pytest.mark.parametrize("name", ["t-0-0a.parquet", ".t-0-0a-{0}-{0}.parquet.01.tmp", "run-0123456789abcdef.parquet"])
def test_other_files_are_none_of_ours(name: str) -> None:
    assert ranges_of([name.format("0" * 20), range_path("steps", Series("t", 0, "0a"), Range(1, 2))], "t") == [
        (Series("t", 0, "0a"), Range(1, 2))
    ]


@given(ranges, st.integers(0, 40))
def test_what_is_missing_is_found(held: list[Range], start: int) -> None:
    covered = {offset for each in held for offset in range(each.first, each.last + 1)}
    assert first_missing(held, start) == next(offset for offset in range(start, 100) if offset not in covered)


@given(ranges)
def test_every_offset_counts_in_one_file_and_in_order(held: list[Range]) -> None:
    counted = [
        offset
        for each, after in cuts((each, each) for each in held)
        for offset in range(each.first, each.last + 1)
        if offset > after
    ]
    assert counted == sorted({offset for each in held for offset in range(each.first, each.last + 1)})
