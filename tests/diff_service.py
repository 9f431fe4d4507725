"""A real diff worker as a process of its own, as `streakline diff-worker` starts it, and what it says of itself."""

import contextlib
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from streakline.processes import free_port, spawn, stop
from tests.commands import COMMAND
from tests.worker import wait_until


def ask(url: str) -> tuple[int, dict[str, str]]:
    """The status, and the detail of every check that does not pass; 0 where there is no answer."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, {}
    except urllib.error.HTTPError as error:
        checks = json.loads(error.read())["checks"]
        return error.code, {check["name"]: check["detail"] for check in checks if not check["passes"]}
    except OSError:
        return 0, {}


class DiffService:
    """Its models lie below `models`, its lake is beside its log."""

    def __init__(self, folder: Path, models: Path, environ: Mapping[str, str]) -> None:
        self.log = folder / "diff-worker.log"
        self.lake = folder / "lake"
        self.port = free_port()
        own = {
            "STREAKLINE_METRICS_PORT": str(self.port),
            "STREAKLINE_LAKE": str(self.lake),
            "STREAKLINE_MODEL_ROOTS": str(models),
            "STREAKLINE_DEVICE": "cpu",
            "STREAKLINE_SESSION_TIMEOUT_SECONDS": "4",
        }
        self.process: subprocess.Popen[bytes] = spawn(
            [*COMMAND, "diff-worker"], log=self.log, environ=own | {**environ}
        )

    def ask(self, path: str) -> tuple[int, dict[str, str]]:
        """As the function does."""
        return ask(f"http://127.0.0.1:{self.port}{path}")

    def exposed(self) -> str:
        """Its metrics, as Prometheus gets them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as response:
            text: str = response.read().decode()
            return text

    def wait_until_ready(self) -> None:
        """Wait until a run that completes gets its diff."""
        wait_until(lambda: self.process.poll() is not None or self.ask("/readyz") == (200, {}), timeout_seconds=120)
        assert self.process.poll() is None, self.log.read_text()


@contextlib.contextmanager
def running_diff_service(folder: Path, models: Path, environ: Mapping[str, str]) -> Iterator[DiffService]:
    """A diff worker for as long as the block runs."""
    service = DiffService(folder, models, environ)
    try:
        yield service
    finally:
        stop(service.process)
