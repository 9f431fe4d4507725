from pathlib import Path

import pytest

from producers.codec import encode
from producers.events import StepEvent
from producers.replay import Published
from streakline.cli.errors import CommandError, ExitCode
from streakline.cli.replay import _report
from tests.commands import streakline


def write(path: Path, *events: StepEvent) -> Path:
    path.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    return path


def step(run_id: str, attempt: int = 0) -> StepEvent:
    return StepEvent(run_id=run_id, attempt=attempt, step=1, ts=1.0, loss=1.0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--speed", "-1"], "Invalid value for '--speed': the speed is a number"),
        (["--speed", "nan"], "Invalid value for '--speed': the speed is a number"),
        (["--speed", "inf"], "Invalid value for '--speed': the speed is a number"),
        (["--attempt", "-1"], "Invalid value for '--attempt': an attempt is a"),
        (["--run-id", "a b"], "Invalid value for '--run-id': a run id is 1-128"),
        (["--raw", "--attempt", "1"], "Invalid value for --raw: publishes lines as they are: leave --run-id and"),
        (["--run-id", "b"], "Invalid value for --run-id, --attempt: these read the input twice: give files, not a pi"),
    ],
)
def test_options_that_cannot_be_right_are_one_sentence(arguments: list[str], sentence: str) -> None:
    ended = streakline("replay", "-", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"streakline: {sentence}")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("option", [["--run-id", "c"], ["--attempt", "3"]])
def test_two_runs_cannot_become_one(tmp_path: Path, option: list[str]) -> None:
    path = write(tmp_path / "two.jsonl", step("a"), step("a"), step("b"))
    ended = streakline("replay", path, *option)
    assert ended.code == 1
    assert ended.err == (
        f"streakline: {path}:3: another run (b after a): --run-id and --attempt take files of one run; "
        "nothing was published\n"
    )


def test_two_attempts_cannot_become_one(tmp_path: Path) -> None:
    path = write(tmp_path / "two.jsonl", step("a", 1), step("a", 2))
    ended = streakline("replay", path, "--attempt", "3")
    assert ended.code == 1
    assert ended.err == (
        f"streakline: {path}:2: another attempt (2 after 1): --attempt takes files of one attempt; "
        "nothing was published\n"
    )


def test_a_missing_file_is_one_sentence_before_anything_is_published(tmp_path: Path) -> None:
    ended = streakline("replay", write(tmp_path / "a.jsonl", step("a")), tmp_path / "missing")
    assert (ended.code, ended.err) == (
        1,
        f"streakline: cannot read {tmp_path}/missing: No such file or directory\n",
    )


def test_what_the_broker_did_not_acknowledge_is_one_sentence() -> None:
    lost = Published(events=1_000, records=1_002, acknowledged=2, error="Local: Message timed out")
    with pytest.raises(CommandError, match=r"did not acknowledge 1,000 of 1,002 records \(Local: ") as raised:
        _report(lost, "streakline.steps")
    assert raised.value.exit_code is ExitCode.UNAVAILABLE
