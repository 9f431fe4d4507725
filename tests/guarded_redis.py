"""A real Redis that demands TLS, a client's certificate and a user's password: set up as the guide has it."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from streakline.processes import free_port, spawn, stop, wait_for_port
from tests.certificates import LOOPBACK, Authority, Pair

GUIDE = Path(__file__).parents[1] / "docs" / "security-settings.md"
USER, PASSWORD = "streakline", "a-long-password"
ADMIN_PASSWORD = "another-long-password"


class GuardedRedis(Struct, frozen=True):
    """Where it is, and what lets one in."""

    port: int
    authority: Authority
    client: Pair

    def url(
        self,
        *,
        scheme: str = "rediss",
        user: str = USER,
        password: str = PASSWORD,
        ca: Path | None = None,
        client: Pair | None = None,
    ) -> str:
        """Of the guide's user, unless something else is wanted."""
        start = f"{scheme}://{user}:{password}@127.0.0.1:{self.port}/0"
        if scheme == "redis":
            return start
        client = self.client if client is None else client
        files = f"ssl_ca_certs={ca or self.authority.ca}&ssl_certfile={client.certificate}&ssl_keyfile={client.key}"
        return f"{start}?{files}"

    @property
    def admin_url(self) -> str:
        """Of one who may do anything."""
        return self.url(user="default", password=ADMIN_PASSWORD)


def guides_configuration() -> str:
    """The guide's redis.conf."""
    found = re.search(r"^```\n(port 0\n.*?)^```$", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@contextlib.contextmanager
def guarded_redis(folder: Path) -> Iterator[GuardedRedis]:
    """For as long as the block runs. The local stack's Valkey has no TLS: Debian's Redis has."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no Redis with TLS here: apt-get install redis-server")
    authority = Authority(folder / "authority")
    server, port = authority.issue(*LOOPBACK), free_port()
    places = {
        "/etc/redis/server.pem": server.certificate,
        "/etc/redis/server.key": server.key,
        "/etc/redis/ca.pem": authority.ca,
        "tls-port 6380": f"tls-port {port}",
    }
    text = guides_configuration()
    for written, here in places.items():
        assert written in text
        text = text.replace(written, str(here))
    path = folder / "redis.conf"
    path.write_text(f'{text}\nbind 127.0.0.1\nsave ""\nappendonly no\ndir {folder}\n')
    process = spawn([binary, path], log=folder / "redis.log")
    try:
        assert wait_for_port(process, port), (folder / "redis.log").read_text()
        yield GuardedRedis(port, authority, authority.issue("streakline.example"))
    finally:
        stop(process)
