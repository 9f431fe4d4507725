"""The framing of server-sent events."""

import pytest

from streakline.dashboard.events import frame


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_data_of_several_lines_stays_one_event(end: bytes) -> None:
    framed = frame("update", b"one" + end + b"event: evil" + end)
    assert framed == b"event: update\ndata: one\ndata: event: evil\ndata: \n\n"


def test_an_event_without_an_id_leaves_the_reader_where_it_is() -> None:
    assert frame("beat", b"{}") == b"event: beat\ndata: {}\n\n"
    assert frame("update", b"{}", "12-0").startswith(b"event: update\nid: 12-0\n")
