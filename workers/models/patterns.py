"""Patterns in an adapter's configuration: peft matches them against the name of every module, and Python waits."""

import re
from collections.abc import Mapping

MAX_REPEATS = 5
"""of anything; each multiplies what is tried by the length of a name"""
MAX_CHARACTERS = 2000
_REPEATED_GROUP = re.compile(r"\)[*+{]")
"""with something repeated in it, what is tried doubles with every letter"""
_REPEAT = re.compile(r"[*+{]")
_NO_PATTERNS = frozenset({"base_model_name_or_path"})


def endless(fields: Mapping[str, object]) -> str | None:
    """The first text that could take for ever as a pattern, of a configuration's names and values at any depth.

    >>> endless({"target_modules": r".*\\.(q_proj|v_proj)", "r": 8}), endless({"rank_pattern": {r"(\\w+)+x": 4}})
    (None, '(\\\\w+)+x')
    """
    waiting: list[object] = [[name, value] for name, value in fields.items() if name not in _NO_PATTERNS]
    while waiting:
        match waiting.pop():
            case str() as text:
                if _is_endless(text):
                    return text
            case dict() as inner:
                waiting += [*inner.keys(), *inner.values()]
            case list() as inner:
                waiting += inner
    return None


def _is_endless(text: str) -> bool:
    if len(text) > MAX_CHARACTERS or _REPEATED_GROUP.search(text):
        return True
    return len(_REPEAT.findall(text)) > MAX_REPEATS
