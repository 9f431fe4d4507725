"""``python deploy/image/requirements.py EXTRA…``: what the base install and these extras need, a line each.

The images install it before there is any code of ours in them, so that a change of the code changes one small layer.
"""

import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path


def requirements(pyproject: str, extras: Sequence[str]) -> Iterator[str]:
    """Of `pyproject`, the text of a pyproject.toml. Raises KeyError for an extra that it has not.

    >>> text = '''
    ... [project]
    ... dependencies = ["a>=1"]
    ... optional-dependencies = {web = ["b", "c==2"], other = ["d"]}
    ... '''
    >>> list(requirements(text, ["web"]))
    ['a>=1', 'b', 'c==2']
    """
    project = tomllib.loads(pyproject)["project"]
    yield from project["dependencies"]
    for extra in extras:
        yield from project["optional-dependencies"][extra]


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in requirements(Path("pyproject.toml").read_text(), sys.argv[1:]))
