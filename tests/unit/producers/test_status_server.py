"""The worker's HTTP server, asked over a socket."""

import contextlib
import gzip
import http.client
import json
import socket
import struct
import threading
from collections.abc import Iterator, Sequence

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from producers.status_server import Check, StatusServer

GOOD, BAD = Check("loop", True, "runs"), Check("broker", False, "does not answer")


@contextlib.contextmanager
def serving(
    registry: CollectorRegistry | None = None, healthy: Sequence[Check] = (GOOD,), ready: Sequence[Check] = (GOOD, BAD)
) -> Iterator[StatusServer]:
    server = StatusServer("127.0.0.1", 0, registry or CollectorRegistry(), healthy=lambda: healthy, ready=lambda: ready)
    server.start()
    try:
        yield server
    finally:
        server.close()


def ask(
    server: StatusServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    with contextlib.closing(connection):
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def test_metrics_are_prometheus_text() -> None:
    registry = CollectorRegistry()
    Gauge("temperature", "How warm it is.", registry=registry).set(21.5)
    Counter("doors", "Doors opened.", registry=registry).inc()
    with serving(registry) as server:
        status, headers, body = ask(server, "/metrics?name=x")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"\ntemperature 21.5\n" in body
    assert b"doors_total 1.0\n" in body
    assert b"_created" not in body


def test_more_metrics_follow_the_registrys() -> None:
    registry = CollectorRegistry()
    Gauge("temperature", "How warm it is.", registry=registry)
    server = StatusServer("127.0.0.1", 0, registry, healthy=list, ready=list, more=lambda: "rain 1\n")
    with contextlib.closing(server):
        server.start()
        _, _, body = ask(server, "/metrics")
    assert body.endswith(b"\ntemperature 0.0\nrain 1\n")


def test_a_body_is_compressed_for_who_asks() -> None:
    with serving() as server:
        _, plain_headers, plain = ask(server, "/readyz")
        _, headers, zipped = ask(server, "/readyz", Accept_Encoding="gzip, deflate")
    assert plain_headers["Content-Encoding"] is None
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped) == plain


def test_every_check_has_to_pass() -> None:
    with serving() as server:
        status, _, body = ask(server, "/healthz")
        assert (status, json.loads(body)["status"]) == (200, "ok")
        status, _, body = ask(server, "/readyz")
    assert status == 503
    assert json.loads(body) == {
        "status": "failing",
        "checks": [
            {"name": "loop", "passes": True, "detail": "runs"},
            {"name": "broker", "passes": False, "detail": "does not answer"},
        ],
    }


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/", "GET", 404), ("/metrics/x", "GET", 404), ("/metrics", "POST", 501)]
)
def test_there_is_nothing_else(path: str, method: str, status: int) -> None:
    with serving() as server:
        assert ask(server, path, method)[0] == status


def test_a_port_that_is_taken_is_an_error() -> None:
    with serving() as server, pytest.raises(OSError, match="in use"):
        StatusServer("127.0.0.1", server.port, CollectorRegistry(), healthy=list, ready=list)


def test_who_asks_before_the_start_is_answered_after_it() -> None:
    server = StatusServer("127.0.0.1", 0, CollectorRegistry(), healthy=list, ready=list)
    with contextlib.closing(server), socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        server.start()
        assert client.recv(12) == b"HTTP/1.1 200"
    StatusServer("127.0.0.1", server.port, CollectorRegistry(), healthy=list, ready=list).close()


def test_nothing_is_said_of_a_client_that_goes_away(capfd: pytest.CaptureFixture[str]) -> None:
    answered = threading.Event()

    def much() -> str:
        answered.set()
        return "x" * (64 << 20)

    server = StatusServer("127.0.0.1", 0, CollectorRegistry(), healthy=list, ready=list, more=much)
    with contextlib.closing(server):
        server.start()
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            # Closed like this, it refuses what is still on its way.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert answered.wait(10)
        assert ask(server, "/healthz")[0] == 200
        for thread in threading.enumerate():
            if "process_request_thread" in thread.name:
                thread.join(10)
    assert capfd.readouterr().err == ""
