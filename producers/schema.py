"""JSON Schema of every event, generated from the structs, and the example files beside it."""

from pathlib import Path
from typing import Any

import msgspec

from producers.codec import encode
from producers.events import (
    PYTHON_END,
    DiffCompleted,
    DiffFailed,
    RunCompleted,
    RunFailed,
    RunStarted,
    Signal,
    StepEvent,
)
from producers.examples import EVENT_NAMES, INVALID, REGRESSED, VALID, EventName

SHIPPED = Path(__file__).parent / "schemas"

# No example file needs to hold a megabyte of spaces.
MAX_EXAMPLE_CHARACTERS = 10_000

_STRUCTS: dict[EventName, type[msgspec.Struct]] = {
    "step": StepEvent,
    "run_started": RunStarted,
    "run_completed": RunCompleted,
    "run_failed": RunFailed,
    "signal": Signal,
    "diff_completed": DiffCompleted,
    "diff_failed": DiffFailed,
}


def schema_of(event: EventName) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one event. Unknown fields are allowed: readers ignore them."""
    struct = _STRUCTS[event]
    generated = msgspec.json.schema(struct)
    structs = generated["$defs"]
    # What msgspec refers to is the schema itself; the structs inside it stay where they are referred to.
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **structs.pop(struct.__name__)}
    if event == "step":
        # Unknown fields are allowed, but whatever has a tag is decoded as a lifecycle event.
        schema["properties"]["type"] = {"description": "a step has no tag", "type": "null"}
    if structs:
        schema["$defs"] = structs
    _simplify_patterns(schema)
    return schema


def schema_files() -> dict[str, str]:
    """Name → text of every file: for each event its schema, a valid example, and invalid ones with reasons."""
    files: dict[str, str] = {}
    for event in EVENT_NAMES:
        invalid = [example for example in INVALID[event] if len(example.raw) <= MAX_EXAMPLE_CHARACTERS]
        files[f"{event}.schema.json"] = _pretty(msgspec.json.encode(schema_of(event)))
        files[f"{event}.valid.json"] = _pretty(encode(VALID[event]))
        files[f"{event}.invalid.json"] = _pretty(msgspec.json.encode(invalid))
    files["signal.regressed.json"] = _pretty(encode(REGRESSED))
    return files


def write_schemas(folder: Path) -> list[Path]:
    """Write every file into `folder`, which is made where it is not there; gives their paths. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in schema_files().items():
        path = folder / name
        path.write_text(text)
        paths.append(path)
    return paths


def _simplify_patterns(schema: object) -> None:
    """The regular expressions of Go and Rust have no lookahead."""
    if isinstance(schema, list):
        for each in schema:
            _simplify_patterns(each)
    elif isinstance(schema, dict):
        for name, value in schema.items():
            if name == "pattern" and isinstance(value, str):
                schema[name] = value.removesuffix(PYTHON_END)
            else:
                _simplify_patterns(value)


def _pretty(raw: bytes) -> str:
    return msgspec.json.format(raw, indent=2).decode() + "\n"
