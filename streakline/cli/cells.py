"""Values of an answer as text: for people, for CSV, as JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

LONGEST = 80
"""characters of a cell that people are shown"""

_ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def cells(row: Sequence[Any]) -> tuple[str, ...]:
    """A row of a table: what is long is cut, and floats are to six digits.

    >>> cells([None, True, 1 / 3, "x" * 100, [1, None]])[:3]
    ('NULL', 'true', '0.333333')
    """
    return tuple(map(_cell, row))


def csv_cell(value: object) -> str:
    """The whole value; NULL is an empty one.

    >>> csv_cell(None), csv_cell(0.1 + 0.2), csv_cell([1.5, None]), csv_cell(True)
    ('', '0.30000000000000004', '[1.5,null]', 'true')
    """
    return "" if value is None else _text(value)


def json_of(row: dict[str, Any]) -> bytes:
    """A JSON object; numbers that JSON has none for (NaN, infinities) are null, bytes are base64.

    >>> json_of({"a": float("nan"), "b": [1]})
    b'{"a":null,"b":[1]}'
    """
    return _ENCODER.encode(row)


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    text = f"{value:.6g}" if isinstance(value, float) else _text(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _text(value: object) -> str:
    """As in JSON, without the quotes; a time has a space in its middle."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime):
        return _ENCODER.encode(value).decode().strip('"').replace("T", " ")
    return _ENCODER.encode(value).decode().strip('"')
