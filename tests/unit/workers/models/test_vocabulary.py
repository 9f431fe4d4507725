"""No file of a tokenizer may ask for a list of four billion words."""

import json
from pathlib import Path

import pytest

from tests.unit.workers.models.small_models import tokenizer
from workers.errors import DiffError
from workers.models.vocabulary import MAX_ID, check_vocabulary


def test_a_tokenizer_is_left_alone(tmp_path: Path) -> None:
    tokenizer().save_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({"a": MAX_ID}))
    check_vocabulary(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": [["a", -1.0]]}, "added_tokens": null}')
    check_vocabulary(tmp_path)


def test_a_folder_without_any_is_left_alone(tmp_path: Path) -> None:
    check_vocabulary(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", {"model": {"vocab": {"a": MAX_ID + 1}}}),
        ("tokenizer.json", {"model": {"vocab": {}}, "added_tokens": [{"id": 2**32 - 2, "content": "a"}]}),
        ("vocab.json", {"a": 0, "b": 2**64}),
        ("added_tokens.json", {"b": MAX_ID + 1}),
    ],
)
def test_an_id_that_no_model_has_is_refused(tmp_path: Path, name: str, content: object) -> None:
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(DiffError, match=f"{name} gives a token the id") as caught:
        check_vocabulary(tmp_path)
    assert caught.value.reason == "checkpoint_invalid"


@pytest.mark.parametrize("text", ["", "[]", '{"model": ' + "[" * 5000, '{"model": {"vocab": {"a": "b"}}}'])
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(DiffError, match=r"tokenizer\.json is no tokenizer's"):
        check_vocabulary(tmp_path)
