"""What the documents tell people to type."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document, re.DOTALL | re.MULTILINE)


def links(document: str) -> list[str]:
    """What it links to in this repository, relative to the document's folder."""
    return re.findall(r"\]\(([^)#:]+)\)", document)
