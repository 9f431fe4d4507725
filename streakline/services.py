"""Processes that are meant to run for as long as the stack does."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from streakline.processes import spawn, stop


class Program(Struct, frozen=True):
    """What to run, and the environment that it needs on top of ours."""

    name: str
    command: Sequence[str | Path]
    environ: Mapping[str, str] = {}


class Service:
    """A running program that can be started again; its output goes to ``<name>.log`` in the folder `logs`."""

    def __init__(self, program: Program, logs: Path) -> None:
        self.name = program.name
        self._program = program
        self._log = logs / f"{program.name}.log"
        self.restart()

    def restart(self) -> None:
        """Start it again, once it has ended."""
        self.process = spawn(self._program.command, log=self._log, environ=self._program.environ)


def stop_all(services: Iterable[Service]) -> None:
    """End them side by side, and wait until the last has ended."""
    processes = [service.process for service in services]
    for process in processes:
        process.terminate()
    for process in processes:
        stop(process)
