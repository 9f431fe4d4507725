"""Rows for every table, made from any seed."""

import random
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from workers.lake.tables import SCHEMA_VERSION, Common

RowT = TypeVar("RowT", bound=Struct)

WORDS = ("", "a", "é", "line\nbreak", "it's", '"quoted"', "\u2028", "日本", "nul\0", "👍", "x" * 300)
FLOATS = (0.0, -0.0, 1e-310, -1.5, 0.1, 1 / 3, 1.7976931348623157e308, float("inf"), float("-inf"))
INTS = (0, 1, -1, 7, 2**63 - 1, -(2**63))


def common(run_id: str = "run-1", diff_id: str = "0123456789abcdef", **changes: str | float) -> Common:
    values = {
        "schema_version": SCHEMA_VERSION,
        "project": "p",
        "dt": "2026-01-31",
        "base_sha": "aa",
        "ft_sha": "bb",
        "config_hash": "cc",
        "created_at": 1769853600.123456,
        **changes,
    }
    return Common(run_id=run_id, diff_id=diff_id, **values)  # type: ignore[arg-type]


def _value(hint: object, rng: random.Random) -> object:
    if get_origin(hint) in {Union, UnionType}:
        arms = get_args(hint)
        return None if rng.random() < 0.4 else _value(next(arm for arm in arms if arm is not NoneType), rng)
    if get_origin(hint) is Literal:
        return rng.choice(get_args(hint))
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], rng) for _ in range(rng.randrange(4)))
    if hint is bool:
        return rng.random() < 0.5
    if hint is str:
        return rng.choice(WORDS)
    return rng.choice(FLOATS if hint is float else INTS)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def some_rows(kind: type[RowT], n: int, seed: int = 0) -> list[RowT]:
    rng = random.Random(seed)
    hints = get_type_hints(kind)
    return [kind(**{name: _value(hint, rng) for name, hint in hints.items()}) for _ in range(n)]
