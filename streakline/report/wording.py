"""Figures as words, for people who are tired."""

from collections.abc import Sequence

from workers.lake.tables import ModelDiffRow


def counted(n: int, one: str, many: str | None = None) -> str:
    """How many of them.

    >>> counted(1, "step"), counted(1200, "step"), counted(2, "category", "categories")
    ('1 step', '1,200 steps', '2 categories')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def joined(names: Sequence[str], most: int = 5) -> str:
    """All of a few, the first of many.

    >>> joined(["a"]), joined(["a", "b", "c"]), joined(["a", "b", "c"], most=2)
    ('a', 'a, b and c', 'a, b and 1 more')
    """
    shown = [*names[:most], *([f"{len(names) - most:,} more"] if len(names) > most else [])]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def share(value: float) -> str:
    """In per cent, small ones not as nothing.

    >>> share(0.38), share(0.004), share(0.0)
    ('38 %', '0.4 %', '0 %')
    """
    return f"{value:.1%}".replace("%", " %") if 0 < abs(value) < 0.1 else f"{value:.0%}".replace("%", " %")


def points(value: float) -> str:
    """A difference of shares, in percentage points.

    >>> points(0.26), points(0.01)
    ('26 points', '1 point')
    """
    size = f"{100 * value:.1f}".removesuffix(".0")
    return f"{size} point" if size == "1" else f"{size} points"


def difference(row: ModelDiffRow) -> str:
    """How far the fine-tuned model is from its base, and how sure that is."""
    return f"{row.delta:+.3f}, 95 % {row.ci_low:+.3f} to {row.ci_high:+.3f}, n = {row.n:,}"
