"""The secrets that deploy/compose/secrets.sh makes, and a real Redis that is started with them."""

import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError

from producers.redis.client import connect
from streakline.processes import free_port, spawn, stop, wait_for_port
from tests.composed import DEPLOY, composed
from tests.guarded_redis import guides_configuration

NAMES = ["dashboard_token", "grafana_password", "redis_acl", "redis_url"]


def make(folder: Path) -> dict[str, str]:
    subprocess.run(["sh", DEPLOY / "compose" / "secrets.sh", folder], check=True)
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_they_are_all_that_compose_asks_for_and_each_is_another(tmp_path: Path) -> None:
    made, again = make(tmp_path / "a"), make(tmp_path / "b")
    assert list(made) == NAMES == sorted(composed().secrets)
    assert not set(made.values()) & set(again.values())
    assert len(made["dashboard_token"]) == len(made["grafana_password"]) == 64


def test_what_is_there_stays(tmp_path: Path) -> None:
    made = make(tmp_path)
    (tmp_path / "grafana_password").unlink()
    again = make(tmp_path)
    assert again.pop("grafana_password") != made.pop("grafana_password")
    assert again == made


def test_containers_may_read_them_and_others_here_may_not(tmp_path: Path) -> None:
    make(tmp_path / "secrets")
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o444}


def test_the_user_may_do_what_the_guide_says(tmp_path: Path) -> None:
    (guides,) = (line for line in guides_configuration().splitlines() if line.startswith("user streakline"))
    (ours,) = (line for line in make(tmp_path)["redis_acl"].splitlines() if line.startswith("user streakline"))
    assert ours.split()[4:] == guides.split()[4:]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Of a Redis with the file and the secrets of compose."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.fail("redis-server is missing: apt-get install redis-server")
    make(tmp_path)
    file, port = tmp_path / "redis.conf", free_port()
    shipped = (DEPLOY / "compose" / "redis.conf").read_text()
    assert "/run/secrets/" in shipped
    file.write_text(shipped.replace("/run/secrets/", f"{tmp_path}/"))
    process = spawn([binary, file, "--port", str(port), "--bind", "127.0.0.1"], log=tmp_path / "log")
    try:
        assert wait_for_port(process, port), (tmp_path / "log").read_text()
        yield port
    finally:
        stop(process)


def test_it_lets_its_user_in_and_nobody_else(port: int, tmp_path: Path) -> None:
    url = (tmp_path / "redis_url").read_text().strip()
    assert "@redis:6379/" in url
    with connect(url.replace("@redis:6379/", f"@127.0.0.1:{port}/")) as client:
        assert client.set("streakline.a", "1")
        assert client.get("streakline.a") == "1"
    with connect(f"redis://127.0.0.1:{port}/0") as stranger, pytest.raises(AuthenticationError):
        stranger.get("streakline.a")


def test_it_tells_whoever_looks_that_it_is_there(port: int) -> None:
    kind, command = composed().services["redis"].healthcheck.test
    assert kind == "CMD-SHELL"
    asked = command.replace("redis-cli", f"redis-cli -p {port}")
    assert subprocess.run(["sh", "-c", asked], check=False).returncode == 0
    assert subprocess.run(["sh", "-c", asked.replace(f"-p {port}", f"-p {free_port()}")], check=False).returncode != 0
