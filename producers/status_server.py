"""The one HTTP server of a worker: /metrics for Prometheus, /healthz and /readyz for whoever supervises it."""

import gzip
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Literal

import msgspec
from msgspec import Struct
from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from producers.quiet_server import CLIENT_TIMEOUT_SECONDS, QuietServer
from producers.stalls import StallWatch


class Check(Struct, frozen=True):
    """One thing that has to be true of a worker, and what is known of it."""

    name: str
    passes: bool
    detail: str


class Report(Struct, frozen=True):
    """The body of /healthz and /readyz; JSON."""

    status: Literal["ok", "failing"]
    checks: Sequence[Check]


Checks = Callable[[], Sequence[Check]]


def turns(name: str, watch: StallWatch) -> Check:
    """Fails where the loop that is watched has stalled: the process has to be started anew."""
    stalled = watch.is_stalled
    detail = f"has not turned for {watch.stood_seconds:.0f} s, see the log" if stalled else "turns"
    return Check(name, not stalled, detail)


class StatusServer:
    """Answers from threads of its own, from `start` until it is closed: 200 where every check passes, else 503.

    /metrics is the registry's, followed by `more`, which is text in the same format. `more`, `healthy` and `ready` are
    called from those threads; one scrape is rendered at a time. Whoever asks before the start waits for it. Raises
    OSError where the port cannot be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        *,
        healthy: Checks,
        ready: Checks,
        more: Callable[[], str] = str,
    ) -> None:
        # The moment at which each counter was made: as many series again, that nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        rendering = threading.Lock()

        def metrics() -> bytes:
            with rendering:
                return generate_latest(registry) + more().encode()

        class Handler(_Handler):
            pages = {"/healthz": healthy, "/readyz": ready}  # noqa: RUF012
            render = staticmethod(metrics)

        self._server = QuietServer((host, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="status-server", daemon=True)

    def start(self) -> None:
        """Answer."""
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop answering."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    pages: dict[str, Checks]
    render: Callable[[], bytes]
    timeout = CLIENT_TIMEOUT_SECONDS
    protocol_version = "HTTP/1.1"
    server_version = "streakline"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one request."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, self.render())
        elif path in self.pages:
            checks = self.pages[path]()
            passes = all(check.passes for check in checks)
            status = HTTPStatus.OK if passes else HTTPStatus.SERVICE_UNAVAILABLE
            report = Report("ok" if passes else "failing", checks)
            self._answer(status, "application/json", msgspec.json.encode(report) + b"\n")
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there are /metrics, /healthz and /readyz\n")

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        zipped = "gzip" in self.headers.get("Accept-Encoding", "")
        body = gzip.compress(body, compresslevel=1) if zipped else body
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if zipped:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """A scrape every few seconds is no news."""
