"""A program is taken for ill when it has failed several looks in a row, and not while it may still be starting."""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry

from producers.quiet_server import QuietServer
from producers.status_server import Check, StatusServer
from streakline import health
from streakline.health import FAILURES, HealthWatch, trouble_at
from streakline.processes import free_port
from tests.worker import wait_until


class Program:
    """What answers, and how; it counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.failing: list[str] = []
        self._server = StatusServer("127.0.0.1", 0, CollectorRegistry(), healthy=self._checks, ready=list)
        self.url = f"http://127.0.0.1:{self._server.port}/healthz"
        self._server.start()

    def _checks(self) -> list[Check]:
        self.asked += 1
        return [Check(name, name not in self.failing, f"is {name}") for name in ("loop", "other", "third")]

    def wait_for_looks(self, count: int) -> None:
        """The one before the last of them has come to something."""
        until = self.asked + count + 1
        wait_until(lambda: self.asked >= until)

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def program() -> Iterator[Program]:
    with contextlib.closing(Program()) as program:
        yield program


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.02)


def test_what_answers_well_has_no_trouble(program: Program) -> None:
    assert trouble_at(program.url) is None


def test_each_check_that_fails_is_told(program: Program) -> None:
    program.failing = ["loop", "third"]
    assert trouble_at(program.url) == "loop is loop, third is third"


def test_what_is_not_there_cannot_be_asked() -> None:
    trouble = trouble_at(f"http://127.0.0.1:{free_port()}/healthz")
    assert trouble is not None
    assert trouble.startswith("/healthz cannot be asked: ")


def test_what_takes_the_connection_and_says_nothing_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ANSWERS_WITHIN_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/healthz"
        assert trouble_at(url) == "/healthz gives no answer in 0.1 s"


def test_what_speaks_no_http_cannot_be_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1024)
                client.sendall(b"garbage\r\n\r\n")

        threading.Thread(target=babble, daemon=True).start()
        trouble = trouble_at(f"http://127.0.0.1:{server.getsockname()[1]}/healthz")
    assert trouble is not None
    assert trouble.startswith("/healthz cannot be asked: ")


class _Plain(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class _Broken(_Plain):
    status = 500


@contextlib.contextmanager
def answering(handler: type[_Plain], context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = QuietServer(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_answer_that_is_no_report_is_told_by_its_status() -> None:
    with answering(_Broken) as port:
        assert trouble_at(f"http://127.0.0.1:{port}/healthz") == "/healthz answers 500"


def test_a_certificate_of_ones_own_is_no_trouble(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=elsewhere"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with answering(_Plain, context) as port:
        assert trouble_at(f"https://127.0.0.1:{port}/healthz") is None
    with answering(_Broken, context) as port:
        assert trouble_at(f"https://127.0.0.1:{port}/healthz") == "/healthz answers 500"


def test_one_that_was_well_is_ill_after_several_failures_in_a_row_and_may_recover(program: Program) -> None:
    with contextlib.closing(HealthWatch(program.url)) as watch:
        wait_until(lambda: watch.was_well)
        program.failing = ["loop"]
        wait_until(lambda: watch.failure == "loop is loop")
        program.failing = []
        wait_until(lambda: watch.failure is None)


def test_fewer_failures_are_none() -> None:
    """It fails all but every third look, and each time sees what came of the look before."""
    seen: list[str | None] = []
    watches: list[HealthWatch] = []

    class Uneven(Program):
        def _checks(self) -> list[Check]:
            self.asked += 1
            seen.extend(watch.failure for watch in watches)
            return [Check("loop", self.asked % 3 == 0, "")]

    assert FAILURES == 3
    with contextlib.closing(Uneven()) as program, contextlib.closing(HealthWatch(program.url)) as watch:
        watches.append(watch)
        wait_until(lambda: len(seen) > 20)
    assert set(seen) == {None}


def test_one_that_was_never_well_is_given_time_to_start(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program.failing = ["loop"]
    with contextlib.closing(HealthWatch(program.url)) as watch:
        program.wait_for_looks(FAILURES + 2)
        assert watch.failure is None
        monkeypatch.setattr(health, "START_SECONDS", 0.0)
        wait_until(lambda: watch.failure == "loop is loop")


def test_one_that_is_closed_asks_no_more(program: Program) -> None:
    watch = HealthWatch(program.url)
    wait_until(lambda: watch.was_well)
    watch.close()
    (thread,) = (each for each in threading.enumerate() if each.name == "health")
    thread.join(30)
    assert not thread.is_alive()


def asked_by_a_container(*arguments: str, port: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streakline.health", *arguments]
    environ = {**os.environ, "STREAKLINE_METRICS_PORT": port}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_a_container_asks_the_worker_beside_it(program: Program) -> None:
    port = str(urlsplit(program.url).port)
    assert asked_by_a_container(port=port).returncode == 0
    program.failing = ["loop"]
    ended = asked_by_a_container(port=port)
    assert (ended.returncode, ended.stderr) == (1, "loop is loop\n")


def test_or_what_it_is_told(program: Program) -> None:
    program.failing = ["loop"]
    assert asked_by_a_container(program.url.replace("/healthz", "/readyz")).returncode == 0
    assert asked_by_a_container(program.url).returncode == 1
