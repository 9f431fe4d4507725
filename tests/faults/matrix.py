"""Every case there is, whoever is hurt in it, and how it is played."""

import random
from collections.abc import Callable, Mapping
from typing import get_args

from msgspec import Struct

from tests.faults import archive_cases, diff_cases, publisher_cases, stream_cases
from tests.faults.cases import Case, Figures, How, Place, Who


class Role(Struct, frozen=True):
    """The cases of those who are hurt, and how one is played."""

    cases: Callable[[int], list[Case]]
    run: Callable[[Case, Place], Figures]


ROLES: Mapping[Who, Role] = {
    "stream worker": Role(stream_cases.cases, stream_cases.run),
    "diff worker": Role(diff_cases.cases, diff_cases.run),
    "archiver": Role(archive_cases.cases, archive_cases.run),
    "publisher": Role(publisher_cases.cases, publisher_cases.run),
}
"""those whose processes take long to start come first: what takes many of them is left to the others"""


def all_cases(seed: int) -> list[Case]:
    """Every case of every role."""
    return [case for role in ROLES.values() for case in role.cases(seed)]


def run(case: Case, place: Place) -> Figures:
    """Play the case; nothing of it is left running."""
    return ROLES[case.who].run(case, place)


def few_cases(seed: int) -> list[Case]:
    """Some of them: every situation of every role, and every way to be hurt in one of them at least."""
    rng = random.Random(seed)
    chosen: list[Case] = []
    for role in ROLES.values():
        cases = [case for case in role.cases(seed) if case.how != "30 SIGKILLs"]
        rng.shuffle(cases)
        for when in sorted({case.when for case in cases}):
            there = [case for case in cases if case.when == when]
            chosen.append(min(there, key=lambda case: (_times_hurt_so(case, chosen), len(_roles_of(case.how)))))
    for how in get_args(How):
        if all(case.how != how for case in chosen):
            chosen.append(rng.choice([case for case in _roles_of(how)[-1].cases(seed) if case.how == how]))
    return chosen


def _times_hurt_so(case: Case, chosen: list[Case]) -> int:
    return sum(other.how == case.how for other in chosen)


def _roles_of(how: How) -> list[Role]:
    """Those that can be hurt so."""
    return [role for role in ROLES.values() if any(case.how == how for case in role.cases(0))]
