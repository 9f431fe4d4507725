"""Where the pages are."""

from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta

from producers.events import IDENTIFIER

Name = Annotated[str, Meta(pattern=IDENTIFIER)]
"""of a run or a project"""
_DOTS = frozenset({".", ".."})
"""a browser takes them for steps through folders, however they are spelled"""


def segment(name: str) -> str:
    """`name` as one part of a path.

    >>> segment("team/sft:1"), segment("..")
    ('team%2Fsft%3A1', '~..')
    """
    return f"~{name}" if name in _DOTS else quote(name, safe="")


def name_in(part: str) -> str | None:
    """What `segment` made a part of, once it is decoded; None where that is no name of a run or a project.

    >>> name_in("team/sft:1"), name_in("~.."), name_in("<script>")
    ('team/sft:1', '..', None)
    """
    name = part.removeprefix("~")
    return name if is_name(name) else None


def is_name(text: str) -> bool:
    """Whether a run or a project may be called that."""
    try:
        msgspec.convert(text, Name)
    except msgspec.ValidationError:
        return False
    return True


def run_path(run_id: str) -> str:
    """The page of a run."""
    return f"/runs/{segment(run_id)}"


def project_path(project: str) -> str:
    """The page of a project."""
    return f"/projects/{segment(project)}"
