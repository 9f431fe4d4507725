"""The real `streakline` with a method that stands still for ever, once.

``python -m tests.standing_still MODULE:CLASS.METHOD CALL MARKER ARGUMENT…``: of all processes that are started so, the
first that can make the file MARKER does not come back from its CALL-th call of the method.
"""

import functools
import importlib
import itertools
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streakline.cli.main import run


def stand_still() -> None:
    """Where a stack that is logged has to end."""
    threading.Event().wait()


def standing(method: Callable[..., Any], call: int, marker: Path) -> Callable[..., Any]:
    calls = itertools.count(1)

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == call and not marker.exists():
            marker.touch()
            stand_still()
        return method(*args, **kwargs)

    return called


def main() -> None:
    where, call, marker, *arguments = sys.argv[1:]
    module, _, name = where.partition(":")
    class_name, _, method = name.partition(".")
    owner = getattr(importlib.import_module(module), class_name)
    setattr(owner, method, standing(getattr(owner, method), int(call), Path(marker)))
    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
