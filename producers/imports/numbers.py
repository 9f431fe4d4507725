"""Numbers as files spell them."""

from producers.events import MAX_INTEGER


def number(value: object) -> float | None:
    """`value` as a number, non-finite ones included, or None where it is none.

    >>> number("1e-3"), number("NaN"), number(" -Infinity "), number(3), number("3_0"), number(True), number("")
    (0.001, nan, -inf, 3.0, None, None, None)
    """
    match value:
        case bool():
            return None
        case float():
            return value
        case int() | str():
            # Python would read "3_0" as thirty.
            if isinstance(value, str) and "_" in value:
                return None
            try:
                return float(value)
            except (ValueError, OverflowError):
                return None
        case _:
            return None


def step_number(value: object) -> int | None:
    """`value` as the index of a step, or None where it can be none.

    >>> step_number(7), step_number("10.0"), step_number("1e2"), step_number(-1), step_number("0.5"), step_number("nan")
    (7, 10, 100, None, None, None)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value <= MAX_INTEGER else None
    found = number(value)
    if found is None or not 0 <= found < MAX_INTEGER or not found.is_integer():
        return None
    return int(found)
