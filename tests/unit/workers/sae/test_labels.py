"""Labels from a file beside the SAE, and by logit lens."""

import json
from pathlib import Path

import pytest
import torch

from workers.errors import DiffError
from workers.sae import labels
from workers.sae.labels import MAX_LABEL, logit_lens_labels, read_labels, tidy


def test_labels_of_either_file(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "labels.json").write_text(json.dumps({"0": " dates\n", "7": "x" * 999, "8": "  "}))
    (tmp_path / "jsonl").mkdir()
    (tmp_path / "jsonl" / "labels.jsonl").write_text(
        '{"feature": 3, "label": "names"}\n\n{"feature": 4, "label": "a"}\n'
    )

    assert read_labels(tmp_path, 10) == {}
    assert read_labels(tmp_path / "json", 10) == {0: "dates", 7: "x" * (MAX_LABEL - 1) + "…"}
    assert read_labels(tmp_path / "jsonl", 10) == {3: "names", 4: "a"}


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("labels.json", '{"0": "dat', "labels.json is malformed"),
        ("labels.json", '{"first": "dates"}', "labels.json is malformed"),
        ("labels.json", '{"0": 1}', "Expected `str`, got `int`"),
        ("labels.json", "[" * 100_000, "labels.json is malformed"),
        ("labels.json", '{"10": "dates"}', "labels.json labels feature 10, and there are 10"),
        ("labels.json", '{"-1": "dates"}', "labels feature -1"),
        ("labels.jsonl", '{"feature": 3}', "labels.jsonl is malformed"),
        ("labels.jsonl", '{"feature": 3, "label": "\\ud800"}', "labels.jsonl is malformed"),
    ],
)
def test_labels_that_are_wrong_are_refused(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(DiffError) as caught:
        read_labels(tmp_path, 10)
    assert sentence in str(caught.value)
    assert caught.value.reason == "sae_invalid"


def test_a_huge_file_of_labels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MAX_FILE_BYTES", 1)
    (tmp_path / "labels.json").write_text("{}")

    with pytest.raises(DiffError, match=r"labels.json is larger than .* MiB; shorten it or take it away"):
        read_labels(tmp_path, 10)


def test_the_logit_lens_names_the_tokens_that_a_row_raises_most() -> None:
    words = [" June", "May\n", "\n", "dog", "cat", "x", "y"]
    unembedding = torch.eye(7)
    rows = torch.tensor([[9.0, 8, 7, 6, 5, 0, 0], [0, 0, 1, 2, 3, 4, 5]]).repeat(70, 1)
    found = logit_lens_labels(rows, unembedding, words.__getitem__)

    assert found == ["June · May · ␣ · dog · cat", "y · x · cat · dog · ␣"] * 70
    assert logit_lens_labels(rows[:0], unembedding, words.__getitem__) == []
    assert logit_lens_labels(rows[:1], unembedding[:2], words.__getitem__) == ["June · May"]


def test_labels_are_one_printable_line() -> None:
    assert tidy("a\x00b\tc\x1b[0m\u202ed") == "ab c[0md"
