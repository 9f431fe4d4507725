"""How much of a long text a page shows; the lake has all of it."""

TEXT, MESSAGE, ERROR, LABEL, NAME = 1000, 500, 4000, 120, 60
"""characters of a prompt or an answer, a signal's message, a run's error, a label, a name within a sentence"""
LAYERS = 16
"""of a signal"""
CONFIG = 200
"""entries of a run's config"""


def clipped(text: str, longest: int) -> str:
    """At most `longest` characters.

    >>> clipped("abcdef", 6), clipped("abcdefg", 6)
    ('abcdef', 'abcde…')
    """
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
