"""A dashboard for tests, in a thread of this process, and what its streams say."""

import asyncio
import contextlib
import http.client
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from streakline.dashboard.server import Sources, listening
from streakline.dashboard.settings import Place

TIMEOUT_SECONDS = 20.0


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body."""
        return self.body.decode()


class Event(Struct, frozen=True):
    """One that a stream sent."""

    name: str
    id: str | None
    data: Any


class Dashboard:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def ask(
        self, path: str, *, method: str = "GET", body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request, as it is; no redirect is followed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())

    @contextlib.contextmanager
    def events(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[Iterator[Event]]:
        """What a stream sends, as it comes; heartbeats are left out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=dict(headers or {}))
            response = connection.getresponse()
            assert response.status == 200, response.read()
            yield _events(response)


def _events(response: http.client.HTTPResponse) -> Iterator[Event]:
    fields: dict[str, str] = {}
    while line := response.readline():
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif fields.get("event") not in {None, "beat"}:
            yield Event(fields["event"], fields.get("id"), msgspec.json.decode(fields["data"]))
            fields = {}
        else:
            fields = {}


@contextlib.contextmanager
def running_dashboard(
    redis_url: str, lake: Path, prefix: str, *, port: int = 0, token: str | None = None
) -> Iterator[Dashboard]:
    """One for as long as the block runs."""
    place = Place(host="127.0.0.1", port=port, token=token, tls_cert=None, tls_key=None)
    started = threading.Event()
    ports: list[int] = []
    failures: list[BaseException] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with listening(place, Sources(redis_url, prefix, str(lake))) as own:
            ports.append(own)
            started.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:
            failures.append(error)
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=run, name="dashboard", daemon=True)
    thread.start()
    started.wait(TIMEOUT_SECONDS)
    try:
        assert failures == []
        yield Dashboard(ports[0])
    finally:
        if not failures:
            loop.call_soon_threadsafe(stop.set)
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive(), "it does not end"
    assert failures == []
