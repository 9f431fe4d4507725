import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from streakline.cli.main import app
from tests.commands import COMMAND, start, streakline

BROKER_AWAY = {"STREAKLINE_KAFKA_BOOTSTRAP": "127.0.0.1:1"}


def twins(command: Any, prefix: str = "STREAKLINE") -> Iterator[str]:
    """The environment twin of each option of `command` and of the commands under it, by typer's rules."""
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield parameter.envvar or f"{prefix}_{parameter.name.upper()}"
    for name, below in getattr(command, "commands", {}).items():
        yield from twins(below, f"{prefix}_{name.replace('-', '_').upper()}")


def test_every_option_has_an_environment_twin() -> None:
    names = list(twins(typer.main.get_command(app)))
    assert all(re.fullmatch("STREAKLINE(_[A-Z]+)+", name) for name in names), names
    assert {"STREAKLINE_KAFKA_BOOTSTRAP", "STREAKLINE_DEAD_LETTERS_LIST_JSON", "STREAKLINE_SIGNALS_TYPE"} <= set(names)


def test_no_command_is_slow_to_start_for_what_it_does_not_use() -> None:
    code = (
        "import sys; from streakline.cli.main import run; run(['--help']); run(['detect', '/dev/null']);"
        "heavy = {'faust', 'torch', 'aiokafka', 'rocksdict', 'confluent_kafka'} & set(sys.modules);"
        "sys.exit(','.join(heavy) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "No such command 'nonsense': see `streakline --help`"),
        (["detect", "--nonsense"], "No such option: --nonsense: see `streakline detect --help`"),
        (["topics", "nonsense"], "No such command 'nonsense': see `streakline topics --help`"),
        (["detect", "\x1b[2J", "--\x1b[2J"], r"No such option: --\x1b[2J: see `streakline detect --help`"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: list[str], sentence: str) -> None:
    ended = streakline(*arguments)
    assert (ended.code, ended.out, ended.err) == (2, "", f"streakline: {sentence}\n")


def test_without_a_command_there_is_help() -> None:
    ended = streakline()
    assert ended.code == 2
    assert "detect" in ended.out + ended.err


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("STREAKLINE_PARTITIONS", "many", "STREAKLINE_PARTITIONS: Expected `int`, got `str`"),
        ("STREAKLINE_TOPIC_PREFIX", "a b", "STREAKLINE_TOPIC_PREFIX: Expected `str` matching"),
        ("STREAKLINE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL", "SASL_SSL needs a user and a password"),
    ],
)
def test_a_wrong_setting_is_one_sentence(name: str, value: str, sentence: str) -> None:
    ended = streakline("topics", "ensure", environ={name: value})
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"streakline: {sentence}")
    assert ended.err.count("\n") == 1


def test_a_broker_that_is_away_is_one_sentence() -> None:
    commands = [["topics", "ensure"], ["signals"], ["runs"], ["dead-letters", "list"], ["replay", "/dev/null"]]
    processes = [start(*command, environ=BROKER_AWAY) for command in commands]
    for process in processes:
        out, err = process.communicate()
        assert (process.returncode, out) == (3, b"")
        assert err.startswith(b"streakline: no answer from the broker at 127.0.0.1:1 (")
        assert err.endswith(b"start one with `streakline up`, or set STREAKLINE_KAFKA_BOOTSTRAP\n")
        assert err.count(b"\n") == 1


def test_the_module_is_the_command() -> None:
    assert subprocess.run([*COMMAND, "detect"], capture_output=True, check=False).returncode == 2
