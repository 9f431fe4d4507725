"""What a check finds: a sentence, and what to do."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Verdict = Literal["ok", "warning", "wrong"]


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    verdict: Verdict
    subject: str
    """what it is about, in a word or two"""
    finding: str
    """one sentence"""
    remedy: str | None = None


def ok(subject: str, finding: str) -> Finding:
    """As it should be, or not needed here."""
    return Finding("ok", subject, finding)


def warning(subject: str, finding: str, remedy: str) -> Finding:
    """It works, and may not go on doing so; or it could not be looked at."""
    return Finding("warning", subject, finding, remedy)


def wrong(subject: str, finding: str, remedy: str) -> Finding:
    """Something of Streakline does not work."""
    return Finding("wrong", subject, finding, remedy)


def of_error(subject: str, error: Exception) -> Finding:
    """What went wrong, from a message of ours, which says what happened and, behind the last colon, what to do.

    >>> of_error("kafka", ValueError("topic a is missing: run `streakline topics ensure`"))
    Finding(verdict='wrong', subject='kafka', finding='topic a is missing', remedy='run `streakline topics ensure`')
    """
    said = " ".join(str(error).split()) or type(error).__name__
    finding, _, remedy = said.rpartition(": ")
    return Finding("wrong", subject, finding, remedy) if finding else Finding("wrong", subject, remedy)


def some(names: Sequence[str]) -> str:
    """The first few of them.

    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
