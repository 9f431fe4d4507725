"""A panic in a library's Rust is an error like others."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from tests.fuzz.target import CORPUS
from workers import panics


def test_a_panic_is_raised_as_an_error() -> None:
    tokenizer = Tokenizer.from_str((CORPUS / "tokenizer" / "processor").read_text())
    with pytest.raises(BaseException, match="no entry found") as caught:
        tokenizer.encode("x")
    assert not isinstance(caught.value, Exception)
    with pytest.raises(RuntimeError, match="no entry found"), panics.as_errors():
        tokenizer.encode("x")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), KeyError("x")])
def test_everything_else_is_what_it_was(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, panics.as_errors():
        raise error
    assert caught.value is error


def test_a_block_without_a_panic_is_left_alone() -> None:
    with panics.as_errors():
        tokenizer = Tokenizer(WordLevel({"x": 0}, unk_token="x"))
    assert tokenizer.encode("x").ids == [0]
