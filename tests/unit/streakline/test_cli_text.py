import json

from hypothesis import given
from hypothesis import strategies as st

from streakline.cli.text import moment, printable, printable_bytes, printable_json


@given(st.text())
def test_nothing_but_printable_text_is_shown(text: str) -> None:
    assert printable(text).isprintable()


@given(st.binary())
def test_any_bytes_can_be_shown(raw: bytes) -> None:
    assert printable_bytes(raw).isprintable()


def test_printable_text_is_shown_as_it_is() -> None:
    assert printable("größe 層 [bold]x[/bold] \\n") == "größe 層 [bold]x[/bold] \\n"


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(st.text(), inner)))
def test_escaped_json_is_printable_and_means_the_same(value: object) -> None:
    raw = json.dumps(value, ensure_ascii=False).encode(errors="replace")
    escaped = printable_json(raw)
    assert escaped.decode().isprintable()
    assert json.loads(escaped) == json.loads(raw)


@given(st.floats())
def test_every_number_is_some_moment(seconds: float) -> None:
    assert moment(seconds).isprintable()
