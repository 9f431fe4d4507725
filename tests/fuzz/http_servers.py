"""What comes over HTTP, to servers that listen: whatever it is, they answer, and no handler of theirs fails."""

import atexit
import contextlib
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import MethodType

from prometheus_client import CollectorRegistry

from producers.quiet_server import QuietServer
from producers.status_server import Check, StatusServer
from streakline.page_receiver import PageReceiver
from streakline.pages import MalformedNotification, decode_notification, lines
from streakline.processes import free_port
from tests.dashboard import running_dashboard
from tests.fuzz.target import Target

_SECONDS = 10.0
# Closed without a FIN: thousands of connections that wait to be forgotten would leave no port for the next.
_NO_LINGER = struct.pack("ii", 1, 0)
_LONGEST_ANSWER_BYTES = 1 << 20
_SECONDS_OF_HALF_A_REQUEST = 0.1
"""for which an answer is waited for, of which there may be none"""

_defects: list[str] = []


def _exchange(port: int, raw: bytes) -> bytes:
    """Send `raw` and nothing more; gives the answer, or as much of it."""
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        answer = bytearray()
        # A server may refuse, and be gone, before it has heard all.
        with contextlib.suppress(ConnectionError):
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            while len(answer) < _LONGEST_ANSWER_BYTES and (piece := connection.recv(_LONGEST_ANSWER_BYTES)):
                answer += piece
    return bytes(answer)


def _ask_threads(port: Callable[[], int]) -> Callable[[bytes], object]:
    def ask(raw: bytes) -> None:
        _exchange(port(), raw)
        assert not _defects, _defects.pop()

    return ask


def _take_note(_: QuietServer, __: object, ___: object) -> None:
    """In place of `handle_error`, which tells of it on standard error alone."""
    error = sys.exception()
    if not isinstance(error, OSError):
        _defects.append(repr(error))


def _noted(server: QuietServer) -> None:
    server.handle_error = MethodType(_take_note, server)  # type: ignore[method-assign]


@cache
def _status_port() -> int:
    server = StatusServer("127.0.0.1", 0, CollectorRegistry(), healthy=lambda: [Check("a", True, "b")], ready=list)
    _noted(server._server)
    server.start()
    atexit.register(server.close)
    return server.port


@cache
def _receiver_port() -> int:
    receiver = PageReceiver()
    _noted(receiver._server)
    atexit.register(receiver.close)
    return receiver.port


@cache
def _dashboard_port() -> int:
    """Of one without a token, a Redis or a lake."""
    opened = contextlib.ExitStack()
    atexit.register(opened.close)
    folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="streakline-fuzz-"))
    return opened.enter_context(running_dashboard(f"redis://127.0.0.1:{free_port()}", Path(folder), "fuzz.")).port


def _ask_dashboard(raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", _dashboard_port()), timeout=_SECONDS) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        status = b""
        # It answers nobody who has closed one way. Streams of events have no end: the status says enough.
        with contextlib.suppress(ConnectionError, TimeoutError):
            connection.sendall(raw)
            connection.settimeout(_SECONDS_OF_HALF_A_REQUEST)
            status = connection.recv(12)
    assert not status.startswith((b"HTTP/1.1 500", b"HTTP/1.0 500")), "the dashboard has a defect"


def _notify(raw: bytes) -> None:
    list(lines(decode_notification("pager", raw, 0.0)))


TARGETS = (
    Target(name="http_status", decode=_ask_threads(_status_port)),
    Target(name="http_pages", decode=_ask_threads(_receiver_port)),
    Target(name="http_dashboard", decode=_ask_dashboard),
    Target(name="notifications", decode=_notify, allowed=(MalformedNotification,)),
)
