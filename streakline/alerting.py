"""Prometheus, Alertmanager and the receiver of their pages, on this machine and for this stack only."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from streakline.page_receiver import PageReceiver
from streakline.processes import free_port
from streakline.services import Program

INSTALL = "apt-get install prometheus prometheus-alertmanager"
RETENTION = "2d"

_SERVERS = ("prometheus", "alertmanager")
_LOOPBACK = "127.0.0.1"
_PACKAGE = Path(__file__).parent

Port = Annotated[int, Meta(ge=0, le=65_535)]


class AlertingSettings(Struct, frozen=True, kw_only=True):
    """Where to listen, on the loopback interface. A port that is taken is replaced by a free one; 0: any free one."""

    prometheus_port: Port = 9090
    alertmanager_port: Port = 9093
    receiver_port: Port = 9095


class Binaries(NamedTuple):
    """The two servers' programs."""

    prometheus: str
    alertmanager: str


class AlertingError(RuntimeError):
    """There can be no alerts; the message says what to do."""


def find_binaries() -> Binaries:
    """The programs, where both are installed. Raises `AlertingError`."""
    prometheus = shutil.which("prometheus")
    # Debian's name, and everybody else's.
    alertmanager = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if prometheus is None or alertmanager is None:
        missing = "prometheus" if prometheus is None else "alertmanager"
        raise AlertingError(f"{missing} is not installed: {INSTALL} (Debian, Ubuntu)")
    return Binaries(prometheus, alertmanager)


def shipped(name: str) -> Path:
    """A file or folder of the repository that is shipped: inside the package in a wheel, beside it in a checkout."""
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / name


class Alerting:
    """Where the two servers listen and their pages arrive. To be closed once the servers have ended."""

    def __init__(self, settings: AlertingSettings, *, say: Callable[[str], None] = lambda _: None) -> None:
        """Raises `AlertingError` where a server is not installed."""
        self._binaries = find_binaries()
        self._prometheus_port = _port("prometheus", settings.prometheus_port, say)
        self._alertmanager_port = _port("alertmanager", settings.alertmanager_port, say)
        self.receiver = PageReceiver(_port("the receiver of pages", settings.receiver_port, say))
        self.prometheus_url = f"http://{_LOOPBACK}:{self._prometheus_port}"
        self.alertmanager_url = f"http://{_LOOPBACK}:{self._alertmanager_port}"

    def close(self) -> None:
        """Receive no more pages."""
        self.receiver.close()

    def configure(
        self, state_dir: Path, data_root: Path, targets: Mapping[str, Sequence[str]], dashboard_url: str
    ) -> list[Program]:
        """Write both configurations to `state_dir`, and say what to run.

        `targets` is the name of a file in ``prometheus/targets`` → the workers (``host:port``) to scrape. Alerts link
        to `dashboard_url`, unless the environment names another.
        """
        prometheus, alertmanager = (_copy(shipped(f"deploy/{name}"), state_dir / name) for name in _SERVERS)
        alertmanager_address = f"{_LOOPBACK}:{self._alertmanager_port}"
        for name, addresses in {**targets, "alertmanager": [alertmanager_address]}.items():
            file = prometheus / "targets" / f"{name}.json"
            file.write_bytes(msgspec.json.encode([{"targets": addresses}]))
        rules = prometheus / "prometheus.yml"
        routes = alertmanager / "alertmanager.yml"
        _move_receivers(routes, self.receiver.port)
        return [
            Program(
                "alertmanager",
                [
                    self._binaries.alertmanager,
                    f"--config.file={routes}",
                    f"--storage.path={data_root / 'alertmanager'}",
                    f"--web.listen-address={alertmanager_address}",
                    f"--web.external-url={self.alertmanager_url}",
                    # There is no other to gossip with.
                    "--cluster.listen-address=",
                ],
            ),
            Program(
                "prometheus",
                [
                    self._binaries.prometheus,
                    f"--config.file={rules}",
                    "--enable-feature=expand-external-labels",
                    f"--storage.tsdb.path={data_root / 'prometheus'}",
                    f"--storage.tsdb.retention.time={RETENTION}",
                    f"--web.listen-address={_LOOPBACK}:{self._prometheus_port}",
                    f"--web.external-url={self.prometheus_url}",
                ],
                _links(dashboard_url),
            ),
        ]


def _port(name: str, preferred: int, say: Callable[[str], None]) -> int:
    port = free_port(preferred)
    if preferred and port != preferred:
        say(f"port {preferred} is taken: {name} listens on {port}")
    return port


def _copy(source: Path, folder: Path) -> Path:
    """Make `folder` anew with the files of `source`, not their permissions: an installed package may be read-only."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in source.rglob("*"):
        if path.is_file():
            copy = folder / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return folder


def _move_receivers(file: Path, port: int) -> None:
    text, address = file.read_text(), f"{_LOOPBACK}:9095"
    assert address in text, f"{file} does not name {address}"  # noqa: S101 - ours
    file.write_text(text.replace(address, f"{_LOOPBACK}:{port}"))


def _links(dashboard_url: str) -> dict[str, str]:
    """Where an alert's links lead, unless the environment says it."""
    links = {
        "STREAKLINE_DASHBOARD_URL": dashboard_url.rstrip("/"),
        "STREAKLINE_RUNBOOK_URL": shipped("docs/runbook.md").as_uri(),
    }
    return {name: os.environ.get(name, default) for name, default in links.items()}
