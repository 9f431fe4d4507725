"""Which rows changed since a reader looked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streakline.dashboard.rows import LakeRun, Row, merged
from streakline.dashboard.table import RunTable


def row(run_id: str, step: int) -> Row:
    return merged(None, LakeRun(run_id=run_id, last_step=step), 0.0)


def test_a_reader_is_told_what_changed_and_nothing_twice() -> None:
    table = RunTable()
    table.put({"a": row("a", 1), "b": row("b", 1)})
    first = table.since(None)
    assert first.is_whole
    assert {each.run_id for each in first.rows} == {"a", "b"}
    assert table.put({"a": row("a", 2), "b": row("b", 1)})
    news = table.since(first.cursor)
    assert (news.is_whole, news.rows) == (False, (row("a", 2),))
    assert table.since(news.cursor).rows == ()
    assert not table.put({"a": row("a", 2)})
    assert table.cursor == news.cursor


def test_who_saw_a_row_that_is_gone_is_told_everything() -> None:
    table = RunTable()
    table.put({"a": row("a", 1), "b": row("b", 1)})
    before = table.cursor
    table.put({"a": None})
    changes = table.since(before)
    assert (changes.is_whole, changes.rows) == (True, (row("b", 1),))
    table.put({"b": row("b", 2)})
    assert not table.since(changes.cursor).is_whole
    assert table.get("a") is None
    assert len(table) == 1


@pytest.mark.parametrize("cursor", ["", "x", "1", ".", ".1", "0.0", "٣.٣", "{epoch}.-1", "{epoch}.99", "{epoch}.x"])
def test_a_cursor_that_is_none_gets_everything(cursor: str) -> None:
    table = RunTable()
    table.put({"a": row("a", 1)})
    epoch = table.cursor.partition(".")[0]
    assert table.since(cursor.replace("{epoch}", epoch)).is_whole


def test_a_cursor_of_another_process_gets_everything() -> None:
    one, other = RunTable(), RunTable()
    assert other.since(one.cursor).is_whole


@given(
    st.lists(
        st.tuples(st.dictionaries(st.sampled_from("abcd"), st.none() | st.integers(0, 3), max_size=4), st.booleans()),
        max_size=20,
    )
)
def test_a_reader_that_looks_now_and_then_knows_what_there_is(puts: list[tuple[dict[str, int | None], bool]]) -> None:
    table, known, cursor = RunTable(), dict[str, Row](), None
    for put, looks in [*puts, ({}, True)]:
        table.put({run_id: None if step is None else row(run_id, step) for run_id, step in put.items()})
        if looks:
            changes = table.since(cursor)
            known = {} if changes.is_whole else known
            known |= {each.run_id: each for each in changes.rows}
            cursor = changes.cursor
    assert known == {each.run_id: each for each in table}
