"""A lake that a later release has written to: whoever opens it says so, and changes nothing there."""

from pathlib import Path

import pytest

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from tests.asked_lake import write_asked_lake
from tests.commands import settings_environ, streakline

LATER = (
    "holds files of a later release (runs/v=2), this one knows v=1 at most: use the release that wrote them, or move"
)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "command",
    [
        ("query", "SELECT count(*) FROM runs"),
        ("shell",),
        ("report", "sft-1"),
        ("compact",),
        ("forget", "sft-1"),
        ("archive",),
        ("diff-worker", "--model-roots", "."),
        ("dashboard", "--port", "0"),
    ],
    ids=lambda command: command[0],
)
def test_it_is_refused_by_name(
    command: tuple[str, ...], kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    root = tmp_path / "lake"
    write_asked_lake(root)
    later = root / "runs" / "v=2" / "month=2027-01" / "a.parquet"
    later.parent.mkdir(parents=True)
    later.write_bytes(b"of a later release")
    before = contents(root)
    environ = settings_environ(kafka, topics) | {"STREAKLINE_LAKE": str(root)}
    ended = streakline(*command, environ=environ)
    assert ended.code == 2
    assert LATER in ended.err
    assert ended.err.count("\n") == 1
    assert contents(root) == before
