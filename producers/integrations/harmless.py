"""Keeping what goes wrong in a callback out of the training that calls it."""

import functools
from collections.abc import Callable
from typing import ParamSpec

from producers.complaints import Complaints
from producers.tally import described

_P = ParamSpec("_P")

_complaints = Complaints()


def harmless(method: Callable[_P, None]) -> Callable[_P, None]:
    """`method`, of which no exception comes out: each is said once in the log named ``streakline``."""

    @functools.wraps(method)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception as error:
            _complaints.say(f"{method.__qualname__} failed and training goes on: {described(error)}")

    return guarded
