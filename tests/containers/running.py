"""deploy/compose.yaml, up: with stand-ins for what would come from a registry."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.composed import FILE, docker_compose
from tests.containers.images import call
from tests.documents import ROOT

STANDINS = Path(__file__).parent / "standins.yaml"
NOT_RUN = {"grafana", "diff-gpu"}


class Running:
    """The project, and a way to ask its services."""

    def __init__(self, folder: Path, services: Sequence[str]) -> None:
        self.secrets = folder / "secrets"
        self.services = services
        self._environ = {"SECRETS": str(self.secrets), "STREAKLINE_MODELS": str(folder / "models")}

    def compose(self, *arguments: str) -> str:
        """What `docker compose` prints."""
        files = (f"--file={FILE}", f"--file={STANDINS}")
        return call(docker_compose(), *files, "--progress=quiet", *arguments, environ=self._environ)

    def up(self) -> None:
        """Returns once all are healthy; raises CalledProcessError where one does not become so."""
        self.compose("up", "--detach", "--no-build", "--pull=never", "--wait", "--wait-timeout=300", *self.services)

    def within(self, service: str, *command: str) -> str:
        """What `command` prints in the container of a service."""
        return self.compose("exec", "--no-TTY", service, *command)

    def ask(self, service: str, port: int, path: str, token: str | None = None) -> tuple[int, Any]:
        """Status and, where it is JSON, body of what a service answers on its published port."""
        address = self.compose("port", service, str(port)).strip()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", headers=headers)) as answer:
                body = answer.read()
                is_json = answer.headers.get_content_type() == "application/json"
                return answer.status, json.loads(body) if is_json else None
        except urllib.error.HTTPError as error:
            return error.code, None

    def stop(self, service: str) -> tuple[int, float]:
        """Its exit status after SIGTERM, and the seconds that it took."""
        container = self.compose("ps", "--quiet", service).strip()
        began = time.monotonic()
        self.compose("stop", service)
        seconds = time.monotonic() - began
        return int(call("docker", "inspect", "--format", "{{.State.ExitCode}}", container)), seconds


@contextmanager
def running(folder: Path, services: Sequence[str]) -> Iterator[Running]:
    """For as long as the block runs, with secrets of its own in `folder`; nothing of it is left."""
    call("sh", ROOT / "deploy" / "compose" / "secrets.sh", folder / "secrets")
    project = Running(folder, services)
    try:
        project.up()
        yield project
    finally:
        project.compose("--profile=*", "down", "--volumes", "--timeout=30")
