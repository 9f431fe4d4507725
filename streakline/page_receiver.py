"""Where Alertmanager's webhooks arrive on this machine."""

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import get_args

from producers.quiet_server import CLIENT_TIMEOUT_SECONDS, QuietServer
from streakline.pages import MalformedNotification, Notification, Receiver, decode_notification

MAX_BODY_BYTES = 4 << 20
MAX_WAITING = 256
"""notifications; of more that nobody takes the oldest are dropped"""

_PATHS: dict[str, Receiver] = {f"/{receiver}": receiver for receiver in get_args(Receiver)}


class PageReceiver:
    """Takes the webhooks ``/pager``, ``/warnings``, ``/digest`` and ``/heartbeat`` on the loopback `port` (0: any).

    It answers from threads of its own until it is closed, and never waits for who reads. Raises OSError where the
    port is taken.
    """

    def __init__(self, port: int = 0) -> None:
        self.heartbeats = 0
        """how many have come; they are not kept"""
        self._waiting: deque[Notification] = deque(maxlen=MAX_WAITING)
        self._lock = threading.Lock()
        self._server = QuietServer(("127.0.0.1", port), partial(_Handler, self._keep))
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="page-receiver", daemon=True).start()

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()

    def take(self) -> list[Notification]:
        """The notifications that have come since the last call, oldest first."""
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
        return taken

    def _keep(self, notification: Notification) -> None:
        with self._lock:
            if notification.receiver == "heartbeat":
                self.heartbeats += 1
            else:
                self._waiting.append(notification)


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_TIMEOUT_SECONDS
    server_version, sys_version = "streakline", ""
    # Of what the base class refuses by itself.
    error_message_format, error_content_type = "%(message)s\n", "text/plain; charset=utf-8"

    def __init__(self, keep: Callable[[Notification], None], *connection: object) -> None:
        self._keep = keep
        super().__init__(*connection)  # type: ignore[arg-type]  # request, client_address, server

    def do_POST(self) -> None:
        """Take one message."""
        receiver = _PATHS.get(self.path)
        if receiver is None:
            self._answer(HTTPStatus.NOT_FOUND, f"there are {', '.join(_PATHS)}")
            return
        body = self._body()
        if body is None:
            return
        try:
            notification = decode_notification(receiver, body, time.time())
        except MalformedNotification as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error))
            return
        self._keep(notification)
        self._answer(HTTPStatus.OK, "taken")

    def _not_allowed(self) -> None:
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "messages are sent with POST")

    do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _not_allowed  # noqa: N815

    def _body(self) -> bytes | None:
        """The request's body; None where it was refused."""
        # A page in a browser may send any site a form or plain text, but not JSON.
        if self.headers.get_content_type() != "application/json":
            self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a message is application/json")
            return None
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            self._answer(HTTPStatus.LENGTH_REQUIRED, "a message has a Content-Length, in digits")
            return None
        if len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a message has at most {MAX_BODY_BYTES} bytes")
            return None
        return self.rfile.read(int(length))

    def _answer(self, status: HTTPStatus, sentence: str) -> None:
        body = f"{sentence}\n".encode(errors="backslashreplace")
        self.send_response(status)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "POST")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal is for pages, and what a client sends may hold escapes."""
