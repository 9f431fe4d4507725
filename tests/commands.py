"""Running `streakline` command lines in tests: here, for speed, or as the process that people start."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

from msgspec import Struct

from producers.kafka import KafkaSettings
from producers.settings import to_environ
from producers.topics import TopicSettings
from streakline.cli.main import run

COMMAND = (sys.executable, "-m", "streakline")


class Ended(Struct, frozen=True):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Of stdout."""
        return self.out.splitlines()


def streakline(*arguments: str | Path, stdin: bytes = b"", environ: Mapping[str, str] | None = None) -> Ended:
    """One command line, run in this process with its own standard streams."""
    inp, out, err = (io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8") for raw in (stdin, b"", b""))
    with (
        patch.object(sys, "stdin", inp),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.dict(os.environ, environ or {}),
    ):
        code = run([str(argument) for argument in arguments])
        out.flush()
        err.flush()
    return Ended(code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())


def start(*arguments: str | Path, environ: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """One command line as a process of its own, all its streams pipes."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environ or {})},
    )


def said_until_up(up: subprocess.Popen[bytes]) -> list[str]:
    """What `streakline up` says until everything is there. Fails where it ends before."""
    assert up.stderr is not None
    said: list[str] = []
    while not said or said[-1] != "Ctrl-C stops everything":
        line = up.stderr.readline().decode()
        assert line, f"it ended: {said}"
        said.append(line.rstrip("\n"))
    return said


def settings_environ(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, str]:
    """The environment in which a command uses these settings."""
    return {**to_environ(kafka), **to_environ(topics)}
