"""Inputs that are nearly right: seeds with bytes changed, and JSON with one value that nobody expects."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

_DEPTH = 3_000

STRANGE_JSON: tuple[bytes, ...] = (
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e308",
    b"-1e400",
    b"NaN",
    b"-Infinity",
    b"1.5",
    b"9223372036854775808",
    b"9" * 5_000,
    b'""',
    b'"\\ud800"',
    b'"\\u0000"',
    b'"' + b"x" * 5_000 + b'"',
    b'"../../etc/passwd"',
    b'"\xff"',
    b"[]",
    b"{}",
    b"[" * _DEPTH + b"]" * _DEPTH,
    b'{"a":' * _DEPTH + b"1" + b"}" * _DEPTH,
)
_HOLE = "\ufdd0hole"


def inputs(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Made of `seeds`."""
    edited = st.builds(_edited, st.sampled_from(seeds), st.lists(_edits(seeds), min_size=1, max_size=4))
    documents = [document for seed in seeds if (document := _document(seed)) is not None]
    if not documents:
        return edited
    return st.one_of(
        edited,
        st.builds(
            _strange, st.sampled_from(documents), st.randoms(use_true_random=False), st.sampled_from(STRANGE_JSON)
        ),
    )


_Edit = tuple[float, float, bytes]
"""where it begins and how much it replaces, as shares of what there is, and what with"""


def _edits(seeds: Sequence[bytes]) -> st.SearchStrategy[_Edit]:
    share = st.floats(0, 1)
    of_a_seed = st.builds(
        lambda seed, begin, length: seed[int(begin * len(seed)) :][: int(length * 64)],
        st.sampled_from(seeds),
        share,
        share,
    )
    return st.tuples(
        share,
        st.sampled_from((0.0, 0.0, 0.01, 0.1, 1.0)),
        st.one_of(st.binary(max_size=8), of_a_seed, st.sampled_from(STRANGE_JSON)),
    )


def _edited(seed: bytes, edits: Sequence[_Edit]) -> bytes:
    for begin, length, piece in edits:
        start = int(begin * len(seed))
        seed = seed[:start] + piece + seed[start + int(length * (len(seed) - start)) :]
    return seed


def _document(seed: bytes) -> Any:
    try:
        return json.loads(seed)
    except (ValueError, RecursionError):
        return None


def _strange(document: Any, random: Any, value: bytes) -> bytes:
    """`document` with `value` in the place of one of its own."""
    return json.dumps(_with_hole(document, random)).encode().replace(json.dumps(_HOLE).encode(), value)


def _with_hole(document: Any, random: Any) -> Any:
    if not document or not isinstance(document, dict | list) or random.random() < 0.1:
        return _HOLE
    if isinstance(document, dict):
        name = random.choice(sorted(document))
        return document | {name: _with_hole(document[name], random)}
    index = random.randrange(len(document))
    return [*document[:index], _with_hole(document[index], random), *document[index + 1 :]]
