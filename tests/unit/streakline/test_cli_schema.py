from pathlib import Path
from typing import get_args

import pytest

from producers.examples import EventName
from producers.schema import schema_files
from tests.commands import streakline


@pytest.mark.parametrize("event", get_args(EventName))
def test_one_event(event: EventName) -> None:
    ended = streakline("schema", event)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == schema_files()[f"{event}.schema.json"]


def test_all_events_with_examples(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "schemas"
    ended = streakline("schema", "--output", folder)
    assert (ended.code, ended.err) == (0, "")
    assert {path.name: path.read_text() for path in folder.iterdir()} == schema_files()
    assert sorted(ended.lines) == sorted(str(folder / name) for name in schema_files())


@pytest.mark.parametrize("arguments", [[], ["step", "--output", "/no/where"]])
def test_it_is_one_event_or_all(arguments: list[str]) -> None:
    ended = streakline("schema", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("streakline: Invalid value for EVENT: name one event (step, ")
    assert ended.err.count("\n") == 1


def test_an_event_there_is_not_is_one_sentence() -> None:
    ended = streakline("schema", "stop")
    assert (ended.code, ended.out) == (2, "")
    assert "'stop' is not one of 'step'" in ended.err
    assert ended.err.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = streakline("schema", "--output", tmp_path / "file")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"streakline: cannot write {tmp_path}/file (")
    assert ended.err.count("\n") == 1
