"""The shipped schemas say what the decoder does."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from producers.codec import MalformedEvent
from producers.examples import EVENT_NAMES, INVALID, REGRESSED, VALID, EventName, InvalidExample
from producers.schema import SHIPPED, schema_files, schema_of, write_schemas
from tests.contract import read

EXAMPLES = [(event, example) for event in EVENT_NAMES for example in INVALID[event]]


def test_the_shipped_files_are_what_the_structs_give() -> None:
    shipped = {path.name: path.read_text() for path in SHIPPED.iterdir()}
    assert shipped == schema_files(), "write them anew: streakline schema --output producers/schemas"


def test_files_are_written_where_asked(tmp_path: Path) -> None:
    paths = write_schemas(tmp_path / "new" / "folder")
    assert {path.name: path.read_text() for path in paths} == schema_files()


@pytest.mark.parametrize("event", EVENT_NAMES)
def test_the_valid_example_is_valid_for_both(event: EventName) -> None:
    text = (SHIPPED / f"{event}.valid.json").read_text()
    Draft202012Validator.check_schema(schema_of(event))
    Draft202012Validator(schema_of(event)).validate(json.loads(text))
    # A NaN does not equal itself; its spelling does.
    assert repr(read(event, text.encode())) == repr(VALID[event])


def test_so_is_a_signal_about_a_checkpoint() -> None:
    text = (SHIPPED / "signal.regressed.json").read_text()
    Draft202012Validator(schema_of("signal")).validate(json.loads(text))
    assert read("signal", text.encode()) == REGRESSED


@pytest.mark.parametrize(("event", "example"), EXAMPLES)
def test_an_invalid_example_is_refused_with_its_reason(event: EventName, example: InvalidExample) -> None:
    with pytest.raises(MalformedEvent) as caught:
        read(event, example.raw.encode())
    assert (caught.value.reason, caught.value.detail) == (example.reason, example.detail)


@pytest.mark.parametrize(("event", "example"), [case for case in EXAMPLES if case[1].seen_by_schema])
def test_the_schema_refuses_what_it_can_see(event: EventName, example: InvalidExample) -> None:
    assert not Draft202012Validator(schema_of(event)).is_valid(json.loads(example.raw))


@pytest.mark.parametrize(
    ("event", "example"), [case for case in EXAMPLES if not case[1].seen_by_schema and case[1].reason == "invalid"]
)
def test_the_rest_only_the_decoder_can_see(event: EventName, example: InvalidExample) -> None:
    assert Draft202012Validator(schema_of(event)).is_valid(json.loads(example.raw))


@pytest.mark.parametrize("event", EVENT_NAMES)
def test_patterns_are_what_every_language_has(event: EventName) -> None:
    text = (SHIPPED / f"{event}.schema.json").read_text()
    assert '"pattern"' in text
    assert "(?" not in text


@pytest.mark.parametrize("event", EVENT_NAMES)
def test_a_field_that_is_not_known_is_no_error(event: EventName) -> None:
    value = json.loads((SHIPPED / f"{event}.valid.json").read_text()) | {"added_later": {"nested": True}}
    Draft202012Validator(schema_of(event)).validate(value)
    read(event, json.dumps(value).encode())
