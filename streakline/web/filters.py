"""Values as text, for templates. None is a dash everywhere."""

from streakline.cli import text

NOTHING = "–"
_FIRST_SECOND = 1_000_000_000
"""an attempt of that and more is the Unix second at which its publisher was made"""


def shown(value: object) -> object:
    r"""What a template may print: of strings, what does not print is escaped, but for line ends and tabs.

    >>> shown("one\n\ttwo\u202e"), shown(3)
    ('one\n\ttwo\\u202e', 3)
    """
    # Markup is a string, too, and safe already.
    if type(value) is not str or value.isprintable():
        return value
    return "\n".join("\t".join(map(text.printable, line.split("\t"))) for line in value.split("\n"))


def number(value: float | None) -> str:
    """To four digits; a whole number in full.

    >>> number(1234567), number(0.123456), number(12345.678), number(2e-7), number(None)
    ('1,234,567', '0.1235', '12,346', '2e-07', '–')
    """
    if value is None:
        return NOTHING
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.4g}"
    return f"{value:.4g}"


def score(value: float | None) -> str:
    """A score to three decimals.

    >>> score(0.5), score(None)
    ('0.500', '–')
    """
    return NOTHING if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """A difference, to three decimals.

    >>> signed(0.5), signed(-0.25), signed(None)
    ('+0.500', '-0.250', '–')
    """
    return NOTHING if value is None else f"{value:+.3f}"


def percent(value: float | None) -> str:
    """A share in percent.

    >>> percent(0.1234), percent(None)
    ('12.3 %', '–')
    """
    return NOTHING if value is None else f"{100 * value:.1f} %"


def points(basis_points: int | None) -> str:
    """Basis points in percentage points.

    >>> points(720), points(None)
    ('7.2 points', '–')
    """
    return NOTHING if basis_points is None else f"{basis_points / 100:.1f} points"


def moment(unix_seconds: float | None) -> str:
    """A time in UTC, to the second.

    >>> moment(1700000000.5), moment(None)
    ('2023-11-14 22:13:20Z', '–')
    """
    return NOTHING if unix_seconds is None else text.moment(unix_seconds)


def duration(seconds: float | None) -> str:
    """About how long, in one unit.

    >>> duration(100), duration(None)
    ('2 min', '–')
    """
    return NOTHING if seconds is None else text.duration(seconds)


def attempt(number: int) -> str:
    """The name of an attempt, which may be the second at which it began.

    >>> attempt(2), attempt(1700000000)
    ('attempt 2', 'attempt of 2023-11-14 22:13:20Z')
    """
    return f"attempt {number}" if number < _FIRST_SECOND else f"attempt of {text.moment(number)}"


def spoken(identifier: str) -> str:
    """A name of the code's as words.

    >>> spoken("held_out")
    'held out'
    """
    return identifier.replace("_", " ")


def sentence(text: str) -> str:
    """With a capital at the beginning, and as it is after that.

    >>> sentence("mean KL"), sentence("")
    ('Mean KL', '')
    """
    return text[:1].upper() + text[1:]


_ALL = (number, score, signed, percent, points, moment, duration, attempt, spoken, sentence)
FILTERS = {each.__name__: each for each in _ALL}
