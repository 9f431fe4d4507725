"""A tokenizer's vocabulary, looked at before it is loaded: a list as long as its highest id is made of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from workers.models.weights import invalid, read_bounded

MAX_ID = (1 << 24) - 1
"""past any vocabulary there is"""
MAX_FILE_BYTES = 512 << 20


class _Model(Struct):
    vocab: dict[str, int] | list[Any] | None = None
    """tokens by id, or, without ids, in order"""


class _Added(Struct):
    id: int


class _Tokenizer(Struct):
    model: _Model | None = None
    added_tokens: list[_Added] | None = None


def check_vocabulary(folder: Path) -> None:
    """Raise `DiffError` where a file of the tokenizer in `folder` gives an id that no model has."""
    if (path := folder / "tokenizer.json").is_file():
        whole = _read(path, _Tokenizer)
        vocab = None if whole.model is None else whole.model.vocab
        _check(path, vocab.values() if isinstance(vocab, dict) else ())
        _check(path, [each.id for each in whole.added_tokens or ()])
    for name in ("vocab.json", "added_tokens.json"):
        if (path := folder / name).is_file():
            _check(path, _read(path, dict[str, int]).values())


def _read(path: Path, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(read_bounded(path, MAX_FILE_BYTES), type=kind)
    except (ValueError, RecursionError) as error:
        raise invalid(path, f"is no tokenizer's ({error})") from error


def _check(path: Path, ids: Iterable[int]) -> None:
    highest = max(ids, default=0)
    if highest > MAX_ID:
        raise invalid(path, f"gives a token the id {highest}, and the highest that is read is {MAX_ID}")
