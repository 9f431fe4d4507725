"""deploy/compose.yaml as Docker Compose itself understands it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct, field

from tests.documents import ROOT

DEPLOY = ROOT / "deploy"
FILE = DEPLOY / "compose.yaml"


class Limits(Struct, frozen=True):
    cpus: float = 0
    memory: int = 0
    pids: int = 0


class Resources(Struct, frozen=True):
    limits: Limits = Limits()
    reservations: dict[str, Any] = {}


class Deploy(Struct, frozen=True):
    resources: Resources = Resources()


class Mount(Struct, frozen=True):
    target: str
    source: str = ""
    type: str = "secret"
    read_only: bool = False


class Port(Struct, frozen=True):
    target: int
    published: str
    host_ip: str = ""


class Healthcheck(Struct, frozen=True):
    test: list[str] = []
    disable: bool = False


class Service(Struct, frozen=True):
    """One service; what it may not leave out has no default, or one that no test lets pass."""

    image: str
    user: str = "root"
    read_only: bool = False
    privileged: bool = False
    restart: str = ""
    cap_drop: list[str] = []
    cap_add: list[str] = []
    security_opt: list[str] = []
    tmpfs: list[str] = []
    profiles: list[str] = []
    command: list[str] | None = None
    environment: dict[str, str] = {}
    networks: dict[str, dict[str, list[str]] | None] = {}
    volumes: list[Mount] = []
    secrets: list[Mount] = []
    ports: list[Port] = []
    depends_on: dict[str, dict[str, Any]] = {}
    healthcheck: Healthcheck = Healthcheck()
    deploy: Deploy = Deploy()
    build: dict[str, str] | None = None

    @property
    def target(self) -> str:
        """Of deploy/Dockerfile; empty where the image is not ours."""
        return "" if self.build is None else self.build["target"]


class Network(Struct, frozen=True):
    internal: bool = False


class SecretFile(Struct, frozen=True):
    file: str


class Composed(Struct, frozen=True):
    services: dict[str, Service]
    networks: dict[str, Network]
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, SecretFile] = field(default_factory=dict)

    @property
    def ours(self) -> dict[str, Service]:
        """Those that run `streakline`."""
        return {name: service for name, service in self.services.items() if service.build is not None}

    def source(self, service: str, target: str) -> Path:
        """The file or folder of this repository that `service` sees at `target`."""
        (mount,) = (mount for mount in self.services[service].volumes if mount.target == target)
        return Path(mount.source)


def docker_compose() -> str:
    """The program, of the package that carries it or of this machine."""
    found = shutil.which("docker-compose", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip("there is no Docker Compose: no package carries it for this kind of machine")
    return found


def composed(**environ: str) -> Composed:
    """What the file says with these variables, every profile in it. An error of Docker Compose fails the test."""
    ended = subprocess.run(
        [docker_compose(), "--file", FILE, "--profile", "*", "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return msgspec.json.decode(ended.stdout, type=Composed, strict=False)
