"""What makes a probe whole."""

from typing import Any

import msgspec
import pytest

from workers.probes.probe import MAX_NAME, MAX_TEXT_BYTES, Probe

WORDINGS = ("a", "b", "c", "d", "e")


def probe(**fields: Any) -> Probe:
    return msgspec.convert({"id": "i", "category": "c", "prompt": "p", **fields}, Probe)


def test_a_row_needs_no_more_than_id_category_and_prompt() -> None:
    assert probe() == Probe(id="i", category="c", prompt="p", kind="factual", eval_split="held_out")


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "i" * MAX_NAME, "category": "é" * MAX_NAME, "topic": "t", "scorer": "s" * MAX_NAME},
        {"prompt": "p" * MAX_TEXT_BYTES},
        {"prompt": "\n"},
        {"paraphrases": WORDINGS},
        {"paraphrases": [str(n) for n in range(64)]},
        {"answer": " x", "choices": [" x", "x"], "scorer": "choices"},
        {"answer": "0", "choices": [str(n) for n in range(26)]},
        {"answer": "0", "scorer": "contains"},
        {"kind": "refusal", "scorer": "refusal"},
    ],
)
def test_what_is_just_allowed(fields: dict[str, Any]) -> None:
    probe(**fields)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"id": ""}, "`id` has 0 characters and should have 1 to 128"),
        ({"id": "i" * 129}, "`id` has 129"),
        ({"category": ""}, "`category` has 0"),
        ({"topic": ""}, "`topic` has 0"),
        ({"scorer": "s" * 129}, "`scorer` has 129"),
        ({"prompt": ""}, "`prompt` holds a text of 0 bytes, which should be 1 to 65536"),
        ({"prompt": "é" * (MAX_TEXT_BYTES // 2 + 1)}, "`prompt` holds a text of 65538 bytes"),
        ({"answer": " "}, "`answer` holds a text that is blank"),
        ({"paraphrases": WORDINGS[:4]}, "`paraphrases` has 4 and should have none or 5 to 64"),
        ({"paraphrases": [str(n) for n in range(65)]}, "`paraphrases` has 65"),
        ({"paraphrases": ("a", *WORDINGS)}, "`paraphrases` repeats one"),
        ({"paraphrases": ("p", *WORDINGS)}, "`paraphrases` repeats one, or the prompt"),
        ({"paraphrases": ("", *WORDINGS)}, "`paraphrases` holds a text of 0 bytes"),
        ({"answer": "0", "choices": ["0"]}, "`choices` has 1 and should have none or 2 to 26"),
        ({"answer": "0", "choices": [str(n) for n in range(27)]}, "`choices` has 27"),
        ({"answer": "0", "choices": ["0", "1", "1"]}, "`choices` repeats one"),
        ({"answer": "0", "choices": ["0", "\t"]}, "`choices` holds a text that is blank"),
        ({"answer": "0", "choices": [" 0", " 1"]}, "`choices` lacks the `answer`"),
        ({"choices": ["0", "1"]}, "`choices` lacks the `answer`"),
        ({"scorer": "exact"}, "`answer` is missing"),
        ({"answer": "0", "scorer": "choices"}, "`choices` is missing"),
    ],
)
def test_what_is_refused_says_what_it_should_be(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        probe(**fields)


def test_it_is_frozen_and_checked_however_it_is_made() -> None:
    with pytest.raises(AttributeError):
        probe().id = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="`id` has 0"):
        Probe(id="", category="c", prompt="p")
