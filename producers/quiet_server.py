"""The HTTP server behind everything of ours that answers from threads."""

import socket
import sys
from http.server import ThreadingHTTPServer

CLIENT_TIMEOUT_SECONDS = 10.0
"""after which a client that says nothing is let go"""


class QuietServer(ThreadingHTTPServer):
    """Says nothing of a client that went away; anything else is a defect, and shown."""

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Called in the thread of the client, while the exception is being handled."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
