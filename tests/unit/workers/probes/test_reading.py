"""Probes from a file, and the sentence where there are none to be had."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workers.errors import DiffError
from workers.probes import reading
from workers.probes.reading import read_probes

GOOD = b'{"id": "a", "category": "c", "prompt": "p"}'


def written(folder: Path, content: bytes) -> Path:
    path = folder / "probes.jsonl"
    path.write_bytes(content)
    return path


def row(**fields: Any) -> bytes:
    return json.dumps({"id": "b", "category": "c", "prompt": "p", **fields}).encode()


def refusal(folder: Path, content: bytes) -> str:
    with pytest.raises(DiffError) as caught:
        read_probes(written(folder, content))
    assert caught.value.reason == "probes_invalid"
    return str(caught.value)


def test_rows_are_sorted_by_id_and_blank_lines_skipped(tmp_path: Path) -> None:
    found = read_probes(str(written(tmp_path, b"\n" + row(answer=" x") + b"\r\n \n" + GOOD)))
    assert [(probe.id, probe.answer) for probe in found.probes] == [("a", None), ("b", " x")]
    assert len(found.sha) == 64


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"nonsense", "malformed"),
        (b'{"id": "b", "category": "c"', "truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (row(colour="red"), "unknown field `colour`"),
        (b'{"id": "b", "category": "c"}', "missing required field `prompt`"),
        (row(prompt=3), "Expected `str`, got `int`"),
        (row(kind="poem"), r"Invalid enum value 'poem'"),
        (row(eval_split="test"), r"Invalid enum value 'test'"),
        (row(paraphrases="one"), "Expected `array`, got `str`"),
        (b"[" * 10_000, "Expected `object`, got `array`"),
        (b'{"id":' + b"[" * 100_000, "Expected `str`, got `array`"),
    ],
)
def test_a_row_that_is_no_probe_is_named_with_what_it_should_be(tmp_path: Path, content: bytes, problem: str) -> None:
    said = refusal(tmp_path, GOOD + b"\n\n" + content)
    assert ", row 3: " in said
    assert problem in said
    assert "; a row should be one JSON object with id, category and prompt" in said
    assert "text), eval_split (held_out, train) and scorer." in said
    assert len(said) < 1000


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (row(paraphrases=["x"]), "`paraphrases` has 1 and should have none or 5 to 64."),
        (row(answer="x", choices=["y", "z"]), "`choices` lacks the `answer`, which should be one of them"),
        (row(id=""), "`id` has 0 characters and should have 1 to 128."),
        (row(id="a"), "the id 'a' is that of row 1 and should be its own."),
        (b'{"id": "\xff"}', "byte 8 is not UTF-8, and the file should be."),
        (row(prompt="x" * (1 << 20)), "it is longer than 1 MiB and should be shorter."),
    ],
)
def test_a_probe_that_is_not_whole_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    said = refusal(tmp_path, GOOD + b"\n\n" + content + b"\n")
    assert f", row 3: {problem}" in said
    assert "one JSON object" not in said


def test_what_a_row_says_is_not_repeated_at_any_length(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, row(**{"x" * 500_000: 1}))) < 1000


@pytest.mark.parametrize("content", [b"", b"\n \r\n\n"])
def test_a_file_without_probes_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "holds no probes; it should have one a line" in refusal(tmp_path, content)


def test_a_row_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    line = GOOD.ljust(reading.MAX_ROW_BYTES)
    assert len(read_probes(written(tmp_path, line + b"\r\n")).probes) == 1
    assert "row 1: it is longer than 1 MiB" in refusal(tmp_path, line + b" \n")


def test_the_number_of_probes_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_ROWS", 2)
    rows = [row(id=str(number)) for number in range(3)]
    assert len(read_probes(written(tmp_path, b"\n\n".join(rows[:2]))).probes) == 2
    assert "row 3: it is one probe too many, and there should be at most 2." in refusal(tmp_path, b"\n".join(rows))


def test_the_size_is_bounded(tmp_path: Path) -> None:
    padded = (b" " * ((1 << 20) - 1) + b"\n") * 64
    assert len(read_probes(written(tmp_path, padded[: -len(GOOD)] + GOOD)).probes) == 1
    assert "larger than 64 MiB; split or shorten it." in refusal(tmp_path, padded + GOOD)


@pytest.mark.parametrize("name", ["absent.jsonl", ".", "n\0ul", "x" * 5000])
def test_a_file_that_cannot_be_read_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(DiffError, match="name a JSONL file that this worker can read") as caught:
        read_probes(tmp_path / name)
    assert caught.value.reason == "missing"


def test_the_sha_is_of_the_content_alone(tmp_path: Path) -> None:
    second = {"id": "b", "category": "c", "prompt": "é", "answer": " x", "choices": [" x", " y"]}
    plain = read_probes(written(tmp_path, GOOD + b"\n" + json.dumps(second).encode()))
    keys_turned = json.dumps(dict(reversed(second.items())), ensure_ascii=False, separators=(",", ":")).encode()
    spelt_out = row(id="a", topic=None, answer=None, paraphrases=[], kind="factual", eval_split="held_out")
    assert read_probes(written(tmp_path, b"\n" + keys_turned + b"\n\n" + spelt_out + b"\n")) == plain


def test_the_sha_of_a_set_is_the_same_in_every_version(tmp_path: Path) -> None:
    canonical = b'{"id":"a","category":"c","prompt":"p"}\n{"id":"b","category":"c","prompt":"p"}'
    assert read_probes(written(tmp_path, row() + b"\n" + GOOD)).sha == hashlib.sha256(canonical).hexdigest()


@pytest.mark.parametrize("change", [{"answer": "x"}, {"prompt": "P"}, {"kind": "code"}, {"id": "A"}, {"topic": "t"}])
def test_any_change_of_the_content_changes_the_sha(tmp_path: Path, change: dict[str, str]) -> None:
    before = read_probes(written(tmp_path, row()))
    assert read_probes(written(tmp_path, row(**change))).sha != before.sha


ALMOST = st.sampled_from(
    [GOOD, row(), row(id="c"), row(kind="poem"), b"{", b"\n", b"\r", b"\xff", b'"\\ud800"', b"[", b" "]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.lists(ALMOST | st.binary(max_size=5), max_size=8).map(b"".join))
def test_whatever_the_bytes_only_a_diff_error_comes_out(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    try:
        found = read_probes(path)
    except DiffError:
        refusal(tmp_path, content)
    else:
        assert found.probes
