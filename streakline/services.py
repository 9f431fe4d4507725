"""Processes that are meant to run for as long as the stack does, and to be well."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from streakline.health import HealthWatch
from streakline.processes import spawn, stop


class Program(Struct, frozen=True):
    """What to run, and the environment that it needs on top of ours."""

    name: str
    command: Sequence[str | Path]
    environ: Mapping[str, str] = {}
    health_url: str | None = None
    """answers 200 for as long as the program is well; None: it is for as long as it runs"""


class Service:
    """A running program that can be started again; its output goes to ``<name>.log`` in the folder `logs`."""

    def __init__(self, program: Program, logs: Path) -> None:
        self.name = program.name
        self._program = program
        self._log = logs / f"{program.name}.log"
        self._start()

    @property
    def trouble(self) -> str | None:
        """Why it has to be started again; None where it need not be."""
        status = self.process.poll()
        if status is not None:
            return f"ended with status {status}"
        failure = None if self._health is None else self._health.failure
        return None if failure is None else f"runs and is not well ({failure})"

    def restart(self) -> None:
        """Start it again, whatever it does.

        One that hangs heeds no SIGTERM, and all of ours lose nothing by a SIGKILL. Where even that takes a while the
        process is stuck in the kernel and holds its port, so that there is nothing to be started before.
        """
        self.process.kill()
        self.process.wait()
        self.close()
        self._start()

    def close(self) -> None:
        """Look after it no more."""
        if self._health is not None:
            self._health.close()

    def _start(self) -> None:
        self.process = spawn(self._program.command, log=self._log, environ=self._program.environ)
        self._health = None if self._program.health_url is None else HealthWatch(self._program.health_url)


def stop_all(services: Sequence[Service]) -> None:
    """End them side by side, and wait until the last has ended."""
    for service in services:
        service.close()
        service.process.terminate()
    for service in services:
        stop(service.process)
