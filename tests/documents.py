"""What the documents tell people to type."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document, re.DOTALL | re.MULTILINE)


def commands(document: str) -> list[str]:
    """Every line that is to be typed, those that a backslash ends joined with the next."""
    return [line for block in blocks(document, "sh") for line in block.replace("\\\n", " ").splitlines() if line]


def anchors(document: str) -> set[str]:
    """What a link may name behind its ``#``: the headings, as GitHub spells them.

    >>> sorted(anchors("# What it is\\n\\n## `run.step`, and *why*?\\n\\n## What it is"))
    ['runstep-and-why', 'what-it-is', 'what-it-is-1']
    """
    found: set[str] = set()
    for heading in re.findall(
        r"^#{1,6} (.*)$", re.sub(r"^```.*?^```$", "", document, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    ):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        known = sum(1 for each in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", each))
        found.add(f"{slug}-{known}" if known else slug)
    return found


def prose(document: str) -> str:
    """All of it but the code blocks."""
    return re.sub(r"^```.*?^```$", "", document, flags=re.DOTALL | re.MULTILINE)


def links(document: str) -> list[str]:
    """What it links to in this repository, relative to the document's folder."""
    return re.findall(r"\]\(([^)#:]+)\)", document)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]


def put_between(page: Path, begins: str, ends: str, lines: Sequence[str]) -> None:
    """Put `lines` between the page's markers."""
    page.write_text(with_between(page.read_text(), begins, ends, lines))


def with_between(document: str, begins: str, ends: str, lines: Sequence[str]) -> str:
    """The document with `lines` between its markers."""
    before, found, rest = document.partition(begins)
    _, also_found, after = rest.partition(ends)
    assert found, f"it has no {begins}"
    assert also_found, f"it has no {ends}"
    return "\n".join((before + begins, "", *lines, "", ends + after))
