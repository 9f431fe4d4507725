"""Schema and decoder take and refuse the same: every field of every event with every value of a list."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from producers.codec import MalformedEvent, encode
from producers.examples import EVENT_NAMES, VALID, EventName
from producers.schema import schema_of
from tests.contract import read

MAX_INTEGER = 2**63 - 1

# What only the decoder sees, and so is not here: 1.0 for an integer, 1e400, and a newline after an
# identifier, which Python's own regular expressions overlook.
VALUES: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 1.5, -1.5, MAX_INTEGER, MAX_INTEGER + 1, -MAX_INTEGER, 1e300),
    *("", "a", "a b", "\u00e9", "1", "NaN", "Infinity", "-Infinity", "nan", "inf"),
    *("a" * 128, "a" * 129, "\u00e9" * 4096, "\u00e9" * 4097, "a" * 65_536, "a" * 65_537),
    *("run_started", "run_failed", "step", "loss_plateau", "info", "stop"),
    *([], ["a"], [1], [None], ["a" * 512], ["a" * 513], ["a" * 4097], ["loss_plateau"], ["a"] * 1025, [["a"]]),
    *({}, {"a": 1}, {"a": 1.5}, {"a": None}, {"a": "NaN"}, {"a": "b"}, {"a": "attention"}, {"a": {"b": 1}}, {"": 1}),
    *({"a" * 512: 1}, {"a" * 513: 1}, {"a" * 513: "other"}, {"a" * 4097: "b"}, {"a": "b" * 4097}),
    {f"{index}": "b" for index in range(1025)},
    {f"{index}": 0.5 for index in range(16_385)},
    ["a"] * 16_385,
)


def is_decoded(event: EventName, value: object) -> bool:
    raw = json.dumps(value).encode()
    try:
        decoded = read(event, raw)
    except MalformedEvent:
        return False
    return isinstance(decoded, type(VALID[event]))


@pytest.mark.parametrize("event", EVENT_NAMES)
def test_schema_and_decoder_agree(event: EventName) -> None:
    schema = schema_of(event)
    validator = Draft202012Validator(schema)
    valid = json.loads(encode(VALID[event]))
    without = [{key: value for key, value in valid.items() if key != left_out} for left_out in valid]
    replaced = [valid | {field: value} for field in schema["properties"] for value in VALUES]
    verdicts = set()
    for candidate in without + replaced:
        verdict = is_decoded(event, candidate)
        verdicts.add(verdict)
        assert validator.is_valid(candidate) == verdict, json.dumps(candidate)[:500]
    assert verdicts == {True, False}
