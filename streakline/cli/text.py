"""Text that came from a topic or a file, made safe to show: it may hold terminal escapes and worse."""

import math
import re
from datetime import UTC, datetime

from producers.printable import printable

__all__ = ["duration", "moment", "printable", "printable_bytes", "printable_json"]

_NOT_PRINTABLE_ASCII = re.compile(r"[^ -~]")


def printable_bytes(raw: bytes | None) -> str:
    r"""`raw` as UTF-8 text to show, whatever it is.

    >>> printable_bytes(b"run-\xff\x00")
    'run-\\xff\\x00'
    """
    return "" if raw is None else printable(raw.decode(errors="backslashreplace"))


def printable_json(raw: bytes) -> bytes:
    r"""The same JSON with everything that does not print written as ``\u`` escapes.

    >>> printable_json('{"layer":"\u202e\x9b2J"}'.encode())
    b'{"layer":"\\u202e\\u009b2J"}'
    """
    text = raw.decode()
    if text.isprintable():
        return raw
    return _NOT_PRINTABLE_ASCII.sub(_json_escape, text).encode()


def _json_escape(match: re.Match[str]) -> str:
    each = match[0]
    if each.isprintable():
        return each
    units = each.encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def moment(unix_seconds: float) -> str:
    """A time in UTC, to the second; a number that is no time stays a number.

    >>> moment(1700000000.5), moment(1e300)
    ('2023-11-14 22:13:20Z', '1e+300')
    """
    try:
        return f"{datetime.fromtimestamp(unix_seconds, UTC):%Y-%m-%d %H:%M:%S}Z"
    except (ValueError, OverflowError, OSError):
        return f"{unix_seconds:g}"


def duration(seconds: float) -> str:
    """About how long, in one unit.

    >>> duration(3.2), duration(100), duration(10_000), duration(1e300)
    ('4 s', '2 min', '2.8 h', 'days')
    """
    if not seconds < 259_200:
        return "days"
    if seconds < 60:
        return f"{math.ceil(max(seconds, 0.0))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
